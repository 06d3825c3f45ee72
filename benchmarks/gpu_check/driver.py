"""Everything worth knowing about this project on a CUDA machine, in about ten minutes.

    python tools/analysis_tools/gpu_check.py --out docs

Writes gpu_check.json, after every section, and fills the page gpu.md. Sections run in the order of their value, each in
processes of its own: what crashes or hangs is recorded, and the rest goes on. What no longer fits in the time is
recorded as skipped, and what others wrote and is not installed as absent. Ends with 0 if all checks passed; with 1 if
one failed, or could not be done for an error, or the run was interrupted (what was done until then is written); with 3
if nothing failed, but something was skipped, so that there is no verdict on it.
"""

import argparse
import contextlib
import dataclasses
import importlib
import json
import multiprocessing
import os
import shlex
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from benchmarks.common import write_json
from mask2former.errors import ConfigError

from .page import PASSED, failed, fill_page, judge
from .sections import SECTIONS, Section
from .settings import NO_TIME, Settings, log_output, start_method

GRACE = 60  # seconds beyond its time after which a process is stopped


def parse_args() -> argparse.Namespace:
    names = [section.name for section in SECTIONS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--device', choices=['cuda', 'cpu'], default='cuda', help='default: %(default)s')
    parser.add_argument('--minutes', type=float, default=10.0, help='time to fill; default: %(default)s')
    parser.add_argument('--out', default='work_dirs/gpu_check', metavar='DIR', help='default: %(default)s')
    parser.add_argument('--sections', nargs='+', choices=names, metavar='NAME', help=f'some of {" ".join(names)}')
    parser.add_argument('--small', action='store_true', help='everything at sizes for a CPU: shows that it runs')
    return parser.parse_args()


def run_part(module: str, part: str, settings: Settings, rows: Path, log: Path) -> None:
    """In its own process: write the rows of a part of a section, a line each."""
    os.setsid()  # so that it can be stopped with its children
    log_output(log)
    with open(rows, 'w') as file:
        try:
            for row in importlib.import_module(module).check(settings, part):
                print(json.dumps(row), file=file, flush=True)
        except Exception:
            print(json.dumps(dict(part=part, error=traceback.format_exc())), file=file)
            sys.exit(1)


def watch_part(section: Section, part: str, settings: Settings, rows: list[dict]) -> None:
    """Run a part of a section in a process and add its rows, with one more for a process that crashed or hung."""
    if settings.left() <= 0:
        rows.append(dict(part=part, skipped=NO_TIME))
        return
    file, log = (settings.folder / f'{section.name}-{part}.{ending}' for ending in ('jsonl', 'log'))
    process = start_method(settings.device).Process(target=run_part, args=(section.module, part, settings, file, log))
    process.start()
    try:
        process.join(settings.left() + GRACE)
        stopped = process.is_alive()
    finally:  # when interrupted, too: it would be waited for at the end
        stop(process)
        # What a process was writing when it ended is no line.
        lines = file.read_text().split('\n')[:-1] if file.exists() else []
        rows += map(json.loads, lines)
    if process.exitcode and not (lines and 'error' in rows[-1]):
        end = f'was stopped {GRACE} s after its time' if stopped else f'ended with {process.exitcode}'
        words = log.read_text(errors='replace')[-2000:] if log.exists() else ''
        rows.append(dict(part=part, error=f'The process {end}; it printed last:\n{words}'))


def stop(process: multiprocessing.process.BaseProcess) -> None:
    """End a process, if it still runs, and what is left of those that it started."""
    assert process.pid  # as it was started
    with contextlib.suppress(ProcessLookupError):  # one that has hardly begun is in no group of its own yet
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def run_parts(section: Section, settings: Settings, end: float, rows: list[dict]) -> None:
    """Run the parts of a section until a time, adding their rows."""
    rows += [dict(part=part.name, absent='not installed') for part in section.parts if not part.is_installed()]
    parts = [part for part in section.parts if part.is_installed()]
    for i, part in enumerate(parts):
        now = time.time()
        deadline = now + (end - now) * part.share / sum(x.share for x in parts[i:])
        watch_part(section, part.name, dataclasses.replace(settings, deadline=deadline), rows)


def run_sections(sections: Sequence[Section], settings: Settings, report: dict, path: Path) -> None:
    """Run sections, adding to ``report['sections']`` and writing it after each, also after one that is interrupted."""
    for number, section in enumerate(sections):
        start = time.time()
        rows: list[dict] = []
        share = section.share / sum(x.share for x in sections[number:])
        try:
            run_parts(section, settings, start + (settings.deadline - start) * share, rows)
        except BaseException:  # KeyboardInterrupt, above all
            rows.append(dict(section=section.name, skipped='interrupted'))
            raise
        finally:
            seconds = round(time.time() - start, 1)
            report['sections'][section.name] = dict(title=section.title, text=section.text, seconds=seconds, rows=rows)
            status, report['verdict'] = judge(report)
            report['ok'] = status == PASSED
            write_json(path, report)
            print(f'{section.name}: {summary(rows)}, {seconds:.0f} s', flush=True)


def summary(rows: list[dict]) -> str:
    """How many rows there are, and what became of them."""
    counts = {key: sum(key in row for row in rows) for key in ('skipped', 'absent')}
    counts = dict(rows=len(rows), **counts, failed=sum(map(failed, rows)))
    return ', '.join(f'{count} {what}' for what, count in counts.items() if count)


def main() -> None:
    args = parse_args()
    if args.device == 'cpu':
        os.environ.update(CUDA_VISIBLE_DEVICES='', TRITON_INTERPRET='1')
    import torch

    if args.device != 'cpu' and not torch.cuda.is_available():
        raise ConfigError('There is no CUDA device here: give --device cpu --small to see this tool run.')
    from .device import environment

    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    report = dict(
        date=datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
        command=shlex.join(['python', *sys.argv]),
        **{key: getattr(args, key) for key in ('device', 'small', 'minutes')},
        environment=environment(args.device),
        sections={},
    )
    if args.sections:
        report['sections'] = former_sections(out / 'gpu_check.json', report)
    chosen = [section for section in SECTIONS if section.name in (args.sections or section.name)]
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            settings = Settings(args.device, args.small, Path(folder), time.time() + 60 * args.minutes)
            run_sections(chosen, settings, report, out / 'gpu_check.json')
    finally:
        page = fill_page(report, out)
        status, verdict = judge(report)
        print(f'{verdict}: see {page}')
    sys.exit(status)


def former_sections(path: Path, report: dict) -> dict[str, dict]:
    """The sections of the report in a file, if it is of the same device, versions and sizes as the new one."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text())
    differing = [key for key in ('device', 'small', 'environment') if found.get(key) != report[key]]
    if differing:
        print(f'The other sections of {path} are dropped, for its {" and ".join(differing)} differ: run all of them.')
        return {}
    return found['sections']
