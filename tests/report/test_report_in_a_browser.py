"""The page in a real browser: it draws, it asks for nothing, it can be moved through by mouse and keyboard."""

import dataclasses

import numpy as np
import pytest
from factories import make_result
from report.looking import settled
from report.odd import HOSTILE, ODD

from asyncsim.report import write_report
from asyncsim.result import AWAY, INTERVAL, OUTCOMES, POWERS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]


def span(page):
    return float(page.locator(".timeline").get_attribute("data-span"))


def start(page):
    return float(page.locator(".timeline").get_attribute("data-start"))


def one_of_each():
    """Two workers; the second has one interval of each outcome, 10 s long, with 1 s of downlink and uplink."""
    result = make_result(methods=("ringmaster_asgd",), seeds=(0,), n=2)
    rows = np.zeros(7, INTERVAL)
    rows["worker"] = [0, *[1] * 6]
    rows["m"] = [0, *range(6)]
    rows["sent"] = [0, *np.arange(6) * 10.0]
    rows["computing_from"], rows["computing_to"], rows["ended"] = rows["sent"] + 1, rows["sent"] + 9, rows["sent"] + 10
    rows["outcome"], rows["k"], rows["version"] = [0, *range(6)], 7, 4
    # and worker 0 is away for a while
    away = np.array([(0, 40.0, 50.0)], AWAY)
    powers = np.array([(1, 0.0, 30.0, 2.0), (1, 30.0, 60.0, 0.5)], POWERS)
    return dataclasses.replace(
        result, runs=(dataclasses.replace(result.runs[0], intervals=rows, away=away, powers=powers),)
    )


def test_the_timeline_paints_every_outcome_in_the_colour_of_its_legend(opened):
    page = opened(one_of_each())
    page.locator("[data-zoom=whole]").click()
    settled(page)
    counts = page.evaluate(
        """(outcomes) => {
          const canvas = document.querySelector("[data-lanes]"), pen = canvas.getContext("2d");
          const pixels = new Uint32Array(pen.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
          return outcomes.map((name) => {
            const [r, g, b] = [1, 3, 5].map((at) => parseInt(asyncsim.colour(name).slice(at, at + 2), 16));
            const pixel = (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
            return pixels.reduce((sum, other) => sum + (other === pixel), 0);
          });
        }""",
        [*(outcome.replace("_", "-") for outcome in OUTCOMES), "away", "power"],
    )
    assert all(count > 100 for count in counts), dict(zip([*OUTCOMES, "away", "power"], counts, strict=True))


def test_the_pointer_over_an_interval_shows_worker_gradient_times_outcome_and_delay(opened):
    page = opened(one_of_each())
    page.locator("[data-zoom=whole]").click()
    settled(page)
    box = page.locator("[data-lanes]").bounding_box()
    plot = box["width"] - 50
    page.mouse.move(box["x"] + 40 + plot * 25 / 60, box["y"] + 30)
    words = page.locator(".timeline .tip").inner_text()
    assert "Worker 1, gradient 2: stopped" in words
    assert "20 → 30 s, 8 s computing" in words
    assert "downlink 1 s, uplink 1 s" in words
    assert "at iteration 7, delay 3" in words
    assert "power 2, at most 2 here" in words
    page.mouse.move(box["x"] + 40 + plot * 25 / 60, box["y"] + 10)
    assert "Worker 0: idle" in page.locator(".timeline .tip").inner_text()
    page.mouse.move(box["x"] + 40 + plot * 45 / 60, box["y"] + 10)
    assert "Worker 0: away, or without power" in page.locator(".timeline .tip").inner_text()
    assert "40 → 50 s" in page.locator(".timeline .tip").inner_text()
    page.mouse.move(box["x"] + 40, box["y"] - 60)
    assert not page.locator(".timeline .tip").is_visible()


def test_the_keyboard_zooms_moves_and_returns_to_the_whole_window(opened):
    page = opened(make_result())
    page.locator(".lanes").focus()
    page.keyboard.press("0")
    settled(page)
    whole = span(page)
    page.keyboard.press("+")
    page.keyboard.press("+")
    settled(page)
    assert span(page) == pytest.approx(whole / 2.25)
    before = start(page)
    page.keyboard.press("ArrowRight")
    settled(page)
    assert start(page) > before
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("-")
    page.keyboard.press("0")
    settled(page)
    assert (start(page), span(page)) == (0, whole)


def test_the_wheel_scrolls_the_page_until_the_timeline_is_clicked_and_zooms_then(opened):
    page = opened(make_result())
    canvas = page.locator("[data-lanes]").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 20)
    before = span(page)
    page.mouse.wheel(0, 10)
    settled(page)
    assert span(page) == before
    canvas.click(position={"x": 200, "y": 20})
    page.mouse.wheel(0, -100)
    page.wait_for_function("(before) => document.querySelector('.timeline').dataset.span < before", arg=before)


def test_dragging_moves_all_methods_together(opened):
    page = opened(make_result())
    page.locator(".lanes").focus()
    for key in ("0", "+", "+", "End"):
        page.keyboard.press(key)
    settled(page)
    before, seconds = start(page), span(page)
    canvas = page.locator("[data-lanes]").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 20)
    page.mouse.up()
    settled(page)
    assert start(page) == pytest.approx(before - seconds * 100 / (box["width"] - 50), rel=1e-6)


def test_a_chip_hides_its_method_everywhere(opened):
    page = opened(make_result())
    lines = """() => document.querySelector('[data-curves=time]').data
        .filter((trace) => trace.mode === 'lines' && trace.name).map((trace) => trace.name)"""
    assert page.evaluate(lines) == ["ringmaster_asgd", "rennala_sgd", "asynchronous_sgd"]
    page.get_by_text("rennala_sgd", exact=True).locator("visible=true").and_(page.locator(".chip")).click()
    settled(page)
    assert page.evaluate(lines) == ["ringmaster_asgd", "asynchronous_sgd"]
    assert page.locator("[data-lanes]:visible").count() == 2
    assert page.locator("[data-delays]:visible").count() == 2


def test_quantity_and_axes_can_be_chosen_by_keyboard(opened):
    page = opened(make_result())
    page.locator("input[name=quantity]").first.focus()
    page.keyboard.press("ArrowRight")
    assert "mean of" in page.locator("[data-quantity-name]").first.inner_text()
    page.locator("input[name=y-axis]").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => document.querySelector('[data-curves=time]').layout.yaxis.type") == "linear"


def test_no_button_of_a_chart_leads_to_a_server(opened):
    page = opened(make_result())
    titles = page.evaluate(
        "() => [...document.querySelectorAll('.modebar-btn')].map((button) => button.getAttribute('data-title'))"
    )
    assert set(titles) == {"Download plot as a PNG", "Zoom", "Pan", "Reset axes"}


def test_the_target_is_drawn_and_marked_where_it_was_reached(opened):
    page = opened(make_result())
    drawn = page.evaluate(
        """() => { const { data, layout } = document.querySelector("[data-curves=time]");
        const diamonds = data.filter((trace) => trace.marker && trace.marker.symbol === "diamond");
        return [layout.shapes[0].y0, diamonds.map((trace) => trace.x[0])]; }"""
    )
    assert drawn[0] == 1e-3
    assert len(drawn[1]) == 3


def test_the_windows_and_seeds_of_the_timeline_can_be_chosen(opened):
    page = opened(make_result())
    page.locator(".timeline").get_by_text("middle", exact=True).click()
    page.get_by_text("seed 2", exact=True).click()
    page.get_by_text("fastest on top", exact=True).click()
    settled(page)
    assert start(page) == 0


@pytest.mark.parametrize(
    "name",
    [
        "one record point",
        "curves of nan",
        "diverged",
        "no intervals",
        "no time passed",
        "timing only",
        "killed at once",
    ],
)
def test_odd_results_are_drawn_without_complaint(opened, name):
    page = opened(ODD[name], width=700)
    assert page.locator("h1").is_visible()
    if page.locator(".player").count():
        page.locator("[data-now]").focus()
        for key in (" ", " ", ".", ",", "End", "Home", "ArrowRight"):
            page.keyboard.press(key)
            settled(page)


def test_the_second_chart_can_be_drawn_against_the_workers_time(opened):
    page = opened(make_result())
    page.get_by_text("worker time", exact=True).click()
    settled(page)
    second = page.locator("[data-curves=worker_seconds]")
    assert second.count() == 1
    assert "against total worker time" in page.locator("figure", has=second).inner_text()
    assert second.evaluate("(place) => place.layout.xaxis.title.text") == "total worker time (s)"


def test_a_heat_map_tells_who_delivered_how_much_of_a_slice(opened):
    page = opened(make_result(methods=("hero_sgd",), seeds=(0,), n=4))
    canvas = page.locator("[data-heat]")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 5)
    words = page.locator(".heat .tip").inner_text()
    assert words.startswith("Worker 0, ")
    assert "(100 %)" in words
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 30)
    assert "0 of the " in page.locator(".heat .tip").inner_text()


def test_a_heat_map_is_dark_where_everything_comes_from_and_empty_elsewhere(opened):
    page = opened(make_result(methods=("hero_sgd",), seeds=(0,), n=4), color_scheme="light")
    # a column of pixels in the middle, four lanes of 16 each
    column = "(canvas) => [...canvas.getContext('2d').getImageData(canvas.width / 2, 0, 1, 64).data]"
    pixels = np.reshape(page.locator("[data-heat]").evaluate(column), (64, 4))
    assert [pixels[row].tolist() for row in (8, 24, 56)] == [[11, 42, 74, 255], *[[237, 240, 242, 255]] * 2]


def nine_methods():
    return make_result(methods=("hero_sgd",) * 9, seeds=(0, 1), n=2, points=5, time=10.0)


def test_what_is_folded_is_drawn_when_it_is_opened(opened):
    page = opened(nine_methods())
    drawn = "(places) => places.filter((place) => place.classList.contains('js-plotly-plot')).length"
    assert page.locator("[data-delays]").evaluate_all(drawn) == 6
    for summary in page.locator("details.more summary").all():
        summary.click()
    settled(page)
    settled(page)
    assert page.locator("[data-delays]").evaluate_all(drawn) == 9
    for canvas in page.locator("[data-lanes], [data-heat]").all():
        assert canvas.evaluate("(c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(Boolean)")


def test_presets_choose_all_the_best_six_or_none(opened):
    page = opened(nine_methods())
    for words, count in (("best 6", 6), ("none", 0), ("all", 9)):
        page.get_by_role("button", name=words, exact=True).click()
        settled(page)
        assert page.locator("input[data-method]:checked").count() == count
        assert page.locator(".chip:has(input:checked)").count() == count


def test_pointing_at_a_chip_brings_its_line_before_the_others(opened):
    page = opened(nine_methods())
    lines = """() => document.querySelector('[data-curves=time]').data
        .filter((trace) => trace.mode === 'lines' && trace.name).map((trace) => [trace.name, trace.opacity])"""
    page.locator(".chip", has_text="hero_sgd 4").hover()
    settled(page)
    settled(page)
    *others, last = page.evaluate(lines)
    assert last == ["hero_sgd 4", 1]
    assert {opacity for _, opacity in others} == {0.14}
    page.locator("h1").hover()
    settled(page)
    settled(page)
    assert {opacity for _, opacity in page.evaluate(lines)} == {1, 0.6}


def test_regret_is_drawn_on_a_logarithmic_or_linear_axis_of_rounds(opened):
    page = opened(make_result())
    kind = "() => document.querySelector('[data-regret]').layout.xaxis.type"
    assert page.evaluate(kind) == "log"
    page.get_by_text("linear rounds", exact=True).click()
    assert page.evaluate(kind) == "linear"


def test_a_hostile_name_is_shown_as_text(opened):
    plain = make_result(methods=("rennala_sgd",), n=2, seeds=(0,))
    page = opened(
        dataclasses.replace(
            plain, name=HOSTILE, runs=tuple(dataclasses.replace(run, label=HOSTILE) for run in plain.runs)
        )
    )
    assert "<script>alert(1)</script>" in page.locator("h1").inner_text()
    assert page.locator("[data-lanes]").count() == 1


def test_nothing_sticks_out_sideways_at_any_width(opened):
    page = opened(make_result(name="a name " * 12))
    for width in (1400, 800, 380, 360):
        page.set_viewport_size({"width": width, "height": 900})
        settled(page)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_charts_and_timeline_follow_the_colour_scheme(opened):
    page = opened(make_result(), color_scheme="light")
    seen = """() => [document.querySelector('[data-curves=time]').data.at(-1).marker.color,
        getComputedStyle(document.body).backgroundColor]"""
    light = page.evaluate(seen)
    page.emulate_media(color_scheme="dark")
    settled(page)
    assert all(a != b for a, b in zip(light, page.evaluate(seen), strict=True))


def test_the_numbers_can_be_read_without_scripts(browser, tmp_path):
    path = write_report(make_result(), tmp_path / "report.html")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator("tr.winner").is_visible()
    assert page.locator(".share").count() == 3
    context.close()


def test_forty_workers_with_a_thousand_intervals_each_are_painted_within_a_few_frames(opened):
    rows = np.zeros(40_000, INTERVAL)
    rows["worker"], rows["m"] = np.repeat(np.arange(40), 1000), np.tile(np.arange(1000), 40)
    rows["sent"] = rows["m"] * 1.0
    rows["computing_from"], rows["computing_to"], rows["ended"] = (
        rows["sent"] + 0.1,
        rows["sent"] + 0.8,
        rows["sent"] + 0.9,
    )
    rows["outcome"] = rows["m"] % 3
    result = make_result(methods=("ringmaster_asgd",), seeds=(0,), n=40)
    page = opened(dataclasses.replace(result, runs=(dataclasses.replace(result.runs[0], intervals=rows),)))
    page.locator(".lanes").focus()
    page.keyboard.press("0")
    settled(page)
    milliseconds = page.evaluate(
        """async () => {
          const lanes = document.querySelector(".lanes");
          const frame = () => new Promise((done) => requestAnimationFrame(done));
          const press = (key) => lanes.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
          press("+");
          const begun = performance.now();
          for (let i = 0; i < 10; i++) {
            press(i % 2 ? "ArrowLeft" : "ArrowRight");
            await frame();
          }
          return (performance.now() - begun) / 10;
        }"""
    )
    # 17 ms on an idle machine; a loaded one must not fail
    assert milliseconds < 150
