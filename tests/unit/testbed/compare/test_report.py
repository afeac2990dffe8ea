"""The page and its charts: what is drawn, and that no name becomes markup."""

import json
import re
from html.parser import HTMLParser

from testbed.compare.bars import Bar, bars
from testbed.compare.charts import Axis, Layer, chart, mean_day, nice_top, thinned
from testbed.compare.markup import tag
from testbed.compare.page import page
from testbed.compare.sankey import blocks, folded, sankey, scale_for
from testbed.compare.wording import of_run, of_section
from tests.support.compared import EVIL, evil_comparison, small_comparison


class Balance(HTMLParser):
    """Reads a page as a browser does and keeps what is open, the texts, and every address."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(name)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "action") and v]
        self.open.append(name)

    def handle_startendtag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(name, attrs)
        self.open.pop()

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, text: str) -> None:
        self.texts.append(text)


def parsed(text: str) -> Balance:
    found = Balance()
    found.feed(text)
    found.close()
    assert found.open == []
    return found


def test_text_is_escaped_and_markup_is_not() -> None:
    made = tag("p", "<b>", tag("i", 3), title='"x"', data_value=None, class_="soft")
    assert made == '<p title="&quot;x&quot;" class="soft">&lt;b&gt;<i>3</i></p>'


def test_the_page_is_whole_and_asks_nobody_for_anything() -> None:
    text = page(small_comparison())
    found = parsed(text)
    assert all(address.startswith("#") for address in found.addresses)
    assert not re.search(r"https?://|@import|url\(", text)
    anchors = set(re.findall(r'<details [^>]*id="([^"]*)"', text))
    assert {address[1:] for address in found.addresses} == anchors
    words = " ".join(found.texts)
    for expected in ("Who bought from whom", "dep_balance", "double_auction", "mean day"):
        assert expected in words


def test_names_from_files_stay_names() -> None:
    text = page(evil_comparison())
    found = parsed(text)
    assert EVIL not in text
    assert EVIL in " ".join(found.texts)
    assert "img" not in found.tags


def test_every_chart_carries_numbers_for_all_its_points() -> None:
    text = page(small_comparison())
    axes = json.loads(re.search(r'<script [^>]*id="axes">(.*?)</script>', text)[1])
    charts = re.findall(r'<script type="application/json">(.*?)</script></figure>', text)
    assert len(charts) == 2 * 4
    for each in map(json.loads, charts):
        names = axes[each["axis"]]
        assert {len(layer["values"]) for layer in each["layers"]} == {len(names)}


def test_stacked_areas_lie_on_each_other_and_lines_break_where_nothing_is() -> None:
    layers = [
        Layer("low", "leaf", "area", [1, 1]),
        Layer("high", "sky", "area", [1, 3]),
        Layer("under", "gray", "below", [4, 0]),
        Layer("price", "plum", "step", [2, None, 3]),
    ]
    text = chart("Title", "kW", layers, Axis("a", [(0, "first")], ["x", "y"]))
    paths = re.findall(r'<path d="([^"]*)" class="(?:area|line) (\w+)"', text)
    # 4 up and 4 down: the middle is zero, 125 of 1000 are one kW.
    assert paths == [
        ("M0 375L1 375L1 500L0 500Z", "leaf"),
        ("M0 250L1 0L1 375L0 375Z", "sky"),
        ("M0 1000L1 500L1 500L0 500Z", "gray"),
        ("M0 250h0.01M2 125h0.01", "plum"),
    ]


def test_tops_are_round_and_never_too_low() -> None:
    for value in (0.0123, 0.99, 1, 1.01, 7, 12, 99.9, 100, 5001):
        assert value <= nice_top(value) <= 2 * value


def test_many_points_become_means() -> None:
    assert len(thinned(list(range(744)))) == 744
    assert thinned([1.0, 2.0, 3.0], most=2) == [1.5, 3.0]
    assert mean_day([1, None, 3, 5], 2) == [2.0, 5.0]


def test_bars_below_zero_go_left() -> None:
    text = bars([Bar("a", 3.0, "3"), Bar("b", -1.0, "-1")])
    assert 'class="plus" style="left:25.00%;width:75.00%"' in text
    assert 'class="minus" style="left:0.00%;width:25.00%"' in text


def test_bands_fill_their_blocks() -> None:
    flows = {("a", "x"): 30, ("a", "y"): 10, ("b", "x"): 20}
    scale = scale_for([40, 20], 100, 1000)
    left = blocks(flows, 0, scale, 100)
    assert [round(each.bottom - each.top) for each in left.values()] == [667, 333]
    assert list(left) == ["a", "b"]
    text = sankey(flows, {"seller a": "40 kWh"}, "Who")
    assert text.count('class="band') == 3
    assert "40 kWh" in text


def test_small_sellers_keep_room_for_their_names() -> None:
    amounts = [1_000_000, *([1] * 9)]
    scale = scale_for(amounts, 80, 1000)
    assert sum(max(each * scale, 80) for each in amounts) <= 1000.0001
    assert scale * 1_000_000 > 270


def test_many_names_are_folded() -> None:
    flows = {(f"s{at:02}", "b"): 100 - at for at in range(30)}
    found = folded(flows, 5)
    assert sum(found.values()) == sum(flows.values())
    assert [seller for seller, _ in found] == ["s00", "s01", "s02", "s03", "others"]


def test_what_gets_worse_is_said() -> None:
    (section,) = small_comparison().sections
    told = [note.text for note in of_section(section)]
    assert any(
        "Trade makes the peak-to-average ratio worse in 2 of 2 runs" in each for each in told
    )
    assert any("Contracts move money, not electrons" in each for each in told)
    dep, auction = section.results
    assert any("dealt beyond their own limit" in note.text for note in of_run(dep, section))
    assert not any("beyond their own limit" in note.text for note in of_run(auction, section))
