"""A person's window in Debian's chromium, onto a page of the annotator."""

import shutil

CHROMIUM = shutil.which("chromium")


class Window:
    """A tab of a person, on a photo that is shown whole, with a margin of 12.

    Args:
        browser: Playwright's.
        address: of the server.
        size: (height, width) of what the canvas shows.
        canvas: which one.
        aspect: how much higher than wide a pixel is shown.
        upwards: is the first row shown as the lowest one.
        touch: has the screen fingers.
    """

    def __init__(
        self, browser, address, size, canvas="#canvas", aspect=1.0, upwards=False, touch=False
    ):
        from playwright.sync_api import expect

        self.expect, self.size, self.canvas, self.aspect = expect, size, canvas, aspect
        self.upwards = upwards
        self.page = browser.new_page(viewport={"width": 1000, "height": 640}, has_touch=touch)
        self.page.set_default_timeout(30_000)
        expect.set_options(timeout=30_000)
        self.errors = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(dialog.message))
        self.page.goto(address)

    def at(self, y, x):
        """Locate a pixel of the photo on the screen."""
        box = self.page.locator(self.canvas).bounding_box()
        height = self.size[0] * self.aspect
        scale = min((box["width"] - 24) / self.size[1], (box["height"] - 24) / height)
        left, top = (box["width"] - self.size[1] * scale) / 2, (box["height"] - height * scale) / 2
        row = self.size[0] - 1 - y if self.upwards else y
        return box["x"] + left + (x + 0.5) * scale, box["y"] + top + (
            row + 0.5
        ) * scale * self.aspect

    def click(self, y, x, **how):
        self.page.mouse.click(*self.at(y, x), **how)

    def drag(self, begin, end):
        self.page.mouse.move(*self.at(*begin))
        self.page.mouse.down()
        self.page.mouse.move(*self.at(*end), steps=5)
        self.page.mouse.up()

    def press(self, keys):
        self.page.keyboard.press(keys)


class Touchscreen(Window):
    """A tab under fingers."""

    def __init__(self, *where, **how):
        super().__init__(*where, touch=True, **how)
        self.chrome = self.page.context.new_cdp_session(self.page)

    def touch(self, kind, **fingers):
        """Say where all fingers are now ("Start", "Move"), or which are lifted ("End")."""
        places = [{"x": x, "y": y, "id": ord(name)} for name, (x, y) in fingers.items()]
        self.chrome.send(
            "Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": places}
        )

    def pinch(self, first, second):
        """Put two fingers on the screen, one after the other, move both, and lift them.

        Each is the point where it begins and where it ends.
        """
        self.touch("Start", a=first[0])
        self.touch("Start", a=first[0], b=second[0])
        for share in (0.25, 0.5, 0.75, 1.0):
            places = [
                tuple(a + share * (b - a) for a, b in zip(*finger, strict=True))
                for finger in (first, second)
            ]
            self.touch("Move", a=places[0], b=places[1])
        self.touch("End", a=first[1])
        self.touch("End", b=second[1])
