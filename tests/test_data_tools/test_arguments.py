"""The arguments that the tools share."""

import pytest

from mask2former.data_tools.arguments import make_parser


def test_flags(capsys):
    args = make_parser('It is 100% good.', 'data/x', ('train', 'val')).parse_args([])
    assert (args.root, args.splits) == ('data/x', ['train', 'val']) and args.jobs > 0
    assert not hasattr(make_parser('It.').parse_args([]), 'root')
    for words in (['--jobs', '0'], ['--splits', 'test']):
        with pytest.raises(SystemExit):
            make_parser('It.', 'data/x', ('train',)).parse_args(words)
    assert '0 is not over 0' in capsys.readouterr().err
