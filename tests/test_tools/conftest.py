"""Fixtures: a tool that runs in this process, and a config for it."""

from pathlib import Path

import pytest
from mmengine.runner import Runner

from mask2former.apis import run_config
from tests.tiny import name_run, write_config
from tests.tools import load_tool


@pytest.fixture
def tool(monkeypatch):
    """Runs the main function of a tool in this process; returns its runner."""
    build = run_config.build_runner

    def call(name: str, *arguments: str | Path, change=lambda runner: None) -> Runner:
        module, runners = load_tool(name), []

        def build_runner(cfg):
            name_run(cfg)
            runners.append(build(cfg))
            change(runners[0])
            return runners[0]

        monkeypatch.setattr(run_config, 'build_runner', build_runner)
        monkeypatch.setattr('sys.argv', [f'{name}.py', *map(str, arguments)])
        module.main()
        return runners[0]

    return call


@pytest.fixture
def config(shapes, tmp_path) -> Path:
    return write_config(tmp_path, shapes)
