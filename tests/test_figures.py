"""Figures that move, where there is a person to move them."""

import pytest

import tapecourse.support.figures


@pytest.mark.parametrize("name, shown", [(None, False), ("", True), ("02_graph.ipynb", True)])
def test_slider_is_shown_where_someone_can_move_it(monkeypatch, capsys, name, shown):
    calls = []
    monkeypatch.setattr(
        tapecourse.support.figures, "interact", lambda *args, **kw: calls.append((args, kw))
    )
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    if name is not None:
        monkeypatch.setenv("JPY_SESSION_NAME", name)
    assert tapecourse.support.figures.offer_slider(print, step=(0, 4), depth=(1, 2)) is None
    assert calls == ([((print,), {"step": (0, 4), "depth": (1, 2)})] if shown else [])
    assert ("JupyterLab" in capsys.readouterr().out) is not shown
