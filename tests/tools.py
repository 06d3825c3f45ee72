"""Ways to run the command-line tools."""

import importlib.util
import io
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from tests.tiny import ROOT


def load_tool(name: str) -> ModuleType:
    """The module ``tools/NAME.py``."""
    spec = importlib.util.spec_from_file_location(f'tools_{name}', ROOT / 'tools' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tool_env(**extra: str) -> dict[str, str]:
    """The environment of a tool that runs as a process."""
    return dict(os.environ, PYTHON=sys.executable, OMP_NUM_THREADS='1', OMP_WAIT_POLICY='PASSIVE', **extra)


def run_script(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess:
    """Run a script in an own process."""
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=tool_env(**env), capture_output=True, text=True, timeout=300
    )


def free_port() -> str:
    """A port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return str(listener.getsockname()[1])


class FakeTerminal(io.StringIO):
    """Takes the place of ``sys.stdout``, and says that it is a terminal."""

    def isatty(self) -> bool:
        return True
