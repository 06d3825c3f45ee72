"""What is said last when one process of several fails: torchrun is real, the processes are small scripts."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import psutil
import pytest

from mask2former.apis.cli import run_tool
from mask2former.errors import UserError
from tests.forked import run_forked
from tests.tiny import ROOT
from tests.tools import free_port, tool_env

TORCHRUN = ROOT / 'projects' / 'mask2former' / 'apis' / 'torchrun.py'
SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from mask2former.apis.cli import run_tool
from mask2former.errors import UserError

def main():
    Path('pid' + os.environ['RANK']).write_text(str(os.getpid()))
    if os.environ['RANK'] == '0':
        try:
            time.sleep(60)
        finally:
            print('The other process leaves, too.', file=sys.stderr)
    {failure}

run_tool(main)
"""


@pytest.mark.parametrize(
    ('failure', 'last'),
    [
        ("raise UserError('There is no x.json.')", 'Error: There is no x.json.'),
        ('os.kill(os.getpid(), signal.SIGKILL)', 'Error: The process of rank 1 was ended by SIGKILL, which is what the '
         'system does when memory runs out. Begin again, a training with --resume.'),
        ('os.kill(os.getpid(), signal.SIGTERM)', 'Error: The process of rank 1 was ended by SIGTERM. Begin again, a '
         'training with --resume.'),
        ('os.kill(os.getpid(), 40)', 'Error: The process of rank 1 was ended by signal 40. Begin again, a training '
         'with --resume.'),
        ('1 / 0', 'Error: The process of rank 1 failed with exit code 1; what it said last stands above.'),
    ],
)  # fmt: skip
def test_the_last_line_is_the_reason(tmp_path, failure, last):
    script = tmp_path / 'script.py'
    script.write_text(SCRIPT.format(failure=failure))
    options = ('--nproc_per_node', '2', '--master_addr', '127.0.0.1', '--master_port', free_port())
    done = run_forked(TORCHRUN, *options, script, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.rstrip().splitlines()[-1] == last
    assert 'torchrun.py", line' not in done.stderr  # no traceback of torchrun's own


@pytest.mark.parametrize('options', [('--master_port', '99999'), ('--nnodes', '0'), ('--max_restarts', '-1')])
def test_what_keeps_processes_from_being_started_is_a_sentence(tmp_path, options):
    done = run_forked(TORCHRUN, '--nproc_per_node', '2', '--master_addr', '127.0.0.1', *options, 'x.py', cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.rstrip().splitlines()[-1].startswith('Error: The processes could not be started: ')
    assert 'torchrun.py", line' not in done.stderr


def test_a_full_disk_does_not_hide_the_sentence(monkeypatch):
    monkeypatch.setenv('TORCHELASTIC_ERROR_FILE', '/dev/full/error.json')
    with pytest.raises(SystemExit, match='Error: There is no x.json.'):
        run_tool(mock.Mock(side_effect=UserError('There is no x.json.')))


def test_an_unknown_option_of_a_tool_is_the_reason(tmp_path):
    (tmp_path / 'config.py').touch()
    script = tmp_path / 'script.py'
    script.write_text(
        'from mask2former.apis.cli import config_parser, run_tool\nrun_tool(lambda: config_parser("").parse_args())\n'
    )
    options = ('--nproc_per_node', '2', '--master_port', free_port())
    done = run_forked(TORCHRUN, *options, script, 'config.py', '--wrong', cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.rstrip().splitlines()[-1] == 'Error: unrecognized arguments: --wrong'


def test_torchrun_that_is_told_to_end_ends_its_processes_and_says_so(tmp_path):
    script = tmp_path / 'script.py'
    script.write_text(SCRIPT.format(failure='time.sleep(60)'))
    command = [sys.executable, '-m', 'mask2former.apis.torchrun', '--nproc_per_node', '2', '--master_port', free_port()]
    with (tmp_path / 'log').open('w') as log:
        process = subprocess.Popen([*command, script], cwd=tmp_path, env=tool_env(), stdout=log, stderr=log)
        pids = [tmp_path / f'pid{rank}' for rank in range(2)]
        wait_until(lambda: all(path.is_file() and path.read_text() for path in pids))
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
    assert (tmp_path / 'log').read_text().rstrip().splitlines()[-1] == 'Ended by SIGTERM.'
    assert not any(psutil.pid_exists(int(Path(path).read_text())) for path in pids)


def wait_until(true) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)
