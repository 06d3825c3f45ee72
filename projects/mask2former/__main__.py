"""Run a command or a tool by its name, from any directory: ``mask2former train DATA``; alone, it lists them."""

import ast
import difflib
import importlib
import re
import runpy
import sys
from pathlib import Path

from mask2former.checkpoints.zoo import hub_name, model_zoo, package_root
from mask2former.version import __version__

# Commands of their own, and the modules that have them. `train` is one where it is given data, else the tool.
COMMANDS = dict(
    train='mask2former.auto.train_command',
    predict='mask2former.predictions.command',
    info='mask2former.auto.info_command',
    export='mask2former.deployment.command',
    demo='mask2former.page.command',
)
# Commands that are tools of other names.
ALIASES = {'val': 'test', 'doctor': 'check_dataset', 'browse': 'browse_dataset', 'predict-many': 'predict'}


def find_tools() -> dict[str, Path]:
    """The scripts of ``tools`` and ``demo``, of the installation or of the working tree, by their names."""
    root = package_root()
    tools = sorted((root / 'tools').rglob('*.py'), key=lambda path: (path.parent, path))
    return {path.stem: path for path in [*tools, *sorted((root / 'demo').glob('*.py'))]}


def list_tools(tools: dict[str, Path]) -> str:
    """A line for each tool, its name and what it says of itself, under the name of its folder."""
    lines = []
    folder = None
    for name, path in tools.items():
        if path.parent != folder:
            folder = path.parent
            lines += ['', f'{folder.name.replace("_", " ")}:']
        lines.append(f'  {name:26} {_purpose(path)}')
    folder = Path(__file__).parents[1]
    modules = {name: folder / f'{module.replace(".", "/")}.py' for name, module in COMMANDS.items()}
    commands = [f'  {name:12} {_purpose(path)}' for name, path in modules.items()]
    commands += [f'  {name:12} {_purpose(tools[tool])} (the tool {tool})' for name, tool in ALIASES.items()]
    heading = 'mask2former COMMAND [ARGUMENTS]; COMMAND --help tells more.'
    return '\n'.join([heading, '', 'commands:', *commands, *lines])


def _purpose(path: Path) -> str:
    """What a script says of itself, up to the first colon or full stop."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8'))) or ''
    return re.split(r'[:.](?:\s|$)', text)[0]


def main() -> None:
    tools = find_tools()
    name, *arguments = sys.argv[1:] or ['--help']
    if name in ('-h', '--help'):
        print(list_tools(tools))
    elif name in ('-V', '--version'):
        print(__version__)
    elif name in COMMANDS and (name != 'train' or _is_data(arguments)):
        sys.argv[:] = [f'mask2former {name}', *arguments]
        run_tool = importlib.import_module('mask2former.apis.cli').run_tool
        run_tool(importlib.import_module(COMMANDS[name]).main)
    elif ALIASES.get(name, name) not in tools:
        near = difflib.get_close_matches(name, [*COMMANDS, *ALIASES, *tools], n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ''
        sys.exit(f"Error: There is no tool '{name}': `python -m mask2former` lists those that there are.{hint}")
    else:
        sys.argv[1:] = arguments
        runpy.run_path(str(tools[ALIASES.get(name, name)]), run_name='__main__')


def _is_data(arguments: list[str]) -> bool:
    """Whether ``train`` is asked to train on data, or how it does that, and not on a config or a published model.

    Data may come after options, or not be there at all, which the command says better than the tool.
    """
    named = [word for before, word in zip(['', *arguments], arguments) if before != '--from']
    models = model_zoo(package_root())
    return not any(word.endswith('.py') or word in models or hub_name(word) for word in named)


if __name__ == '__main__':
    main()
