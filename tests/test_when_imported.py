"""Functions that wait for a package to be imported."""

import importlib
import importlib.util
import sys

import pytest

from mask2former.when_imported import when_imported


@pytest.fixture
def package(tmp_path, monkeypatch) -> str:
    """The name of a package that can be imported, and has been by nobody."""
    (tmp_path / 'awaited_package').mkdir()
    (tmp_path / 'awaited_package' / '__init__.py').write_text('value = 1\n')
    monkeypatch.syspath_prepend(tmp_path)
    yield 'awaited_package'
    sys.modules.pop('awaited_package', None)


def test_functions_are_called_in_order_once_the_package_has_run(package):
    calls = []
    when_imported(package, lambda: calls.append(('first', sys.modules[package].value)))
    when_imported(package, lambda: calls.append(('second', sys.modules[package].value)))
    assert importlib.util.find_spec(package).origin.endswith('__init__.py') and not calls
    module = importlib.import_module(package)
    assert calls == [('first', 1), ('second', 1)]
    importlib.reload(module)
    assert len(calls) == 2


def test_of_an_imported_package_functions_are_called_at_once(package):
    importlib.import_module(package)
    calls = []
    when_imported(package, lambda: calls.append(1))
    assert calls == [1]


def test_a_package_that_is_absent_stays_absent():
    when_imported('absent_package', lambda: pytest.fail('it was never imported'))
    assert importlib.util.find_spec('absent_package') is None
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module('absent_package')
