"""Everything worth knowing about this project on a CUDA machine, in about ten minutes.

    python tools/analysis_tools/gpu_check.py --out docs

Writes gpu_check.json, after every section, and fills the page gpu.md. Sections run in the order of their value, each in
processes of its own: what crashes or hangs is recorded, and the rest goes on. What no longer fits in the time is
recorded as skipped. Ends with 1 if a check failed, or could not be done for an error.
"""

import argparse
import contextlib
import dataclasses
import importlib
import json
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

import torch

from benchmarks.common import write_json
from mask2former.errors import ConfigError

from .page import failed, fill_page, verdict
from .sections import SECTIONS, Section
from .settings import Settings, log_output, start_method

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


def watch_part(section: Section, part: str, settings: Settings) -> list[dict]:
    """Run a part of a section in a process; the rows, with one more for a process that crashed or hung."""
    rows, log = (settings.folder / f'{section.name}-{part}.{ending}' for ending in ('jsonl', 'log'))
    process = start_method(settings.device).Process(target=run_part, args=(section.module, part, settings, rows, log))
    process.start()
    assert process.pid  # as it was started
    process.join(settings.left() + GRACE)
    stopped = process.is_alive()
    if stopped:
        with contextlib.suppress(ProcessLookupError):  # one that has hardly begun is in no group of its own yet
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.join()
    # What a process was writing when it ended is no line.
    lines = rows.read_text().split('\n')[:-1] if rows.exists() else []
    found = [json.loads(line) for line in lines]
    if process.exitcode and not any('error' in row for row in found[-1:]):
        end = f'was stopped {GRACE} s after its time' if stopped else f'ended with {process.exitcode}'
        words = log.read_text(errors='replace')[-2000:] if log.exists() else ''
        found.append(dict(part=part, error=f'The process {end}; it printed last:\n{words}'))
    return found


def run_sections(sections: Sequence[Section], settings: Settings, report: dict, path: Path) -> None:
    """Run sections, adding to ``report['sections']`` and writing it after each."""
    for number, section in enumerate(sections):
        start = time.time()
        rows: list[dict] = []
        share = section.share / sum(x.share for x in sections[number:])
        end = start + (settings.deadline - start) * share
        for i, part in enumerate(section.parts):
            now = time.time()
            deadline = now + (end - now) / (len(section.parts) - i)
            rows += watch_part(section, part, dataclasses.replace(settings, deadline=deadline))
        seconds = round(time.time() - start, 1)
        report['sections'][section.name] = dict(title=section.title, text=section.text, seconds=seconds, rows=rows)
        report['ok'] = not any(failed(row) for found in report['sections'].values() for row in found['rows'])
        write_json(path, report)
        print(f'{section.name}: {summary(rows)}, {seconds:.0f} s', flush=True)


def summary(rows: list[dict]) -> str:
    """How many rows there are, and what became of them."""
    counts = dict(rows=len(rows), skipped=sum('skipped' in row for row in rows), failed=sum(map(failed, rows)))
    return ', '.join(f'{count} {what}' for what, count in counts.items() if count)


def main() -> None:
    args = parse_args()
    if args.device == 'cpu':
        os.environ.update(CUDA_VISIBLE_DEVICES='', TRITON_INTERPRET='1')
    elif not torch.cuda.is_available():
        raise ConfigError('There is no CUDA device here: give --device cpu --small to see this tool run.')
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    report = dict(
        date=datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
        command=shlex.join(['python', *sys.argv]),
        **{key: getattr(args, key) for key in ('device', 'small', 'minutes')},
        ok=True,
        sections={},
    )
    former = out / 'gpu_check.json'
    if args.sections and former.exists():
        found = json.loads(former.read_text())
        if all(found.get(key) == report[key] for key in ('device', 'small')):
            report['sections'] = found['sections']
    chosen = [section for section in SECTIONS if section.name in (args.sections or section.name)]
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(args.device, args.small, Path(folder), time.time() + 60 * args.minutes)
        run_sections(chosen, settings, report, out / 'gpu_check.json')
    page = fill_page(report, out)
    print(f'{verdict(report)}: see {page}')
    sys.exit(not report['ok'])
