"""Serves a page that colors a dropped photograph with every trained method; it needs the extra `app` (Gradio).

The page is served to this machine alone unless told otherwise, loads nothing from other hosts (no telemetry, fonts or
scripts), and deletes the photographs when the server ends.
"""

import html
import os
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from benchmark.data.color import gray_of
from benchmark.data.preparation.archives import read_image_file
from benchmark.data.preparation.images import BadImage, open_rgb
from benchmark.photographs.colorize import has_color
from benchmark.photographs.colorizer import Colorizer, Rgb
from benchmark.photographs.scores import HEADS, score_rows
from benchmark.scoring.prediction import BadPrediction
from benchmark.study.hosts import refusal
from benchmark.support.errors import BenchError, InputError

if TYPE_CHECKING:
    import gradio

MAX_UPLOAD_BYTES = 32 * 2**20
MAX_PIXELS = 64_000_000  # pixels of a large camera; they take 192 MB when decoded
SHOWN = 1024  # longest side in pixels; `bench colorize` keeps a photograph's own size
WAITING = 16  # people who may wait at most while one photograph is colored
KEPT_SECONDS = 600  # for which uploads and versions are kept
EXAMPLES = {"coffee": "coffee.png", "cat": "chelsea.png", "astronaut": "astronaut.png"}  # CC0 or public domain
PHOTOGRAPH, GRAY = "the photograph", "gray"
ABOUT = f"""# Color a photograph

Drop a photograph, in color or gray. Every method sees its lightness alone. If it has color, each version is scored
against it. Shown at {SHOWN} pixels at most; `bench colorize` keeps a photograph's own size.
"""
NO_EVIDENCE = "Scored against the photograph. One photograph is no evidence: the tables are in results/."
NO_TRUTH = "A gray photograph: there are no true colors to score against."
STYLE = """
.gradio-container { max-width: 80rem !important; margin: auto; }
.scores { width: 0; min-width: 100% !important; } /* as wide as the page, never wider: the table scrolls */
.versions .grid-container { grid-template-columns: repeat(auto-fill, minmax(min(45%, 18rem), 1fr)); }
"""

Versions = dict[str, Rgb]


def color_upload(path: Path, colorizers: Mapping[str, Colorizer]) -> tuple[Versions, list[list[str]]]:
    """Colors an uploaded file with every method.

    Returns:
        Name → (H, W, 3) uint8: gray, every method's version, and the photograph if it has color; and rows of scores.

    Raises:
        InputError: it cannot be colored.
    """
    try:
        photograph = open_rgb(read_image_file(path), MAX_PIXELS)
        photograph.thumbnail((SHOWN, SHOWN), Image.Resampling.LANCZOS)
        original = np.array(photograph)
        versions = {GRAY: gray_of(original[None])[0]}
        versions |= {name: colorizer(photograph) for name, colorizer in colorizers.items()}
    except (BadImage, BadPrediction, OSError) as error:
        raise InputError(f"This file cannot be colored: {error}") from None
    if not has_color(photograph):
        return versions, []
    return {**versions, PHOTOGRAPH: original}, score_rows(
        {name: image[None] for name, image in versions.items()}, original[None], PHOTOGRAPH
    )


def make_app(colorizers: Mapping[str, Colorizer]) -> "gradio.Blocks":
    """Makes the page.

    Raises:
        BenchError: Gradio is not installed.
    """
    gr = _gradio()
    names = list(colorizers)

    def color(upload: dict[str, Any] | None, method: str) -> list[Any]:
        versions: Versions = {}
        rows: list[list[str]] = []
        told = ""
        if upload:  # as it came: Gradio would decode it before our checks
            try:
                versions, rows = color_upload(Path(upload["path"]), colorizers)
                told = NO_EVIDENCE if rows else NO_TRUTH
            except InputError as error:
                gr.Warning(html.escape(str(error)), duration=None)
        gallery = gr.Gallery([(image, name) for name, image in versions.items()], visible=bool(versions))
        table = gr.Dataframe(rows, visible=bool(rows))
        return [versions, compare(versions, method), gallery, told, table]

    def compare(versions: Versions, method: str) -> Any:
        pair = (versions[GRAY], versions[method]) if versions else None
        return gr.ImageSlider(pair, label=f"{GRAY} | {method}", visible=bool(versions))

    with gr.Blocks(title="colorbench", analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as app:
        gr.Markdown(ABOUT)
        kept = gr.State({}, time_to_live=KEPT_SECONDS)
        with gr.Row():
            with gr.Column():
                photograph = gr.Image(label="Photograph", type="filepath", sources=["upload", "clipboard"], height=320)
                examples = _examples()
                gr.Examples(
                    list(examples.values()),
                    photograph,
                    label="Or one of these",
                    example_labels=list(examples),  # buttons with pictures alone have no name for a screen reader
                    api_visibility="private",
                )
                choice = gr.Radio(names, value=names[0], label="Method", visible=len(names) > 1)
            with gr.Column():
                slider = gr.ImageSlider(format="png", visible=False, max_height=480)
        gallery = gr.Gallery(
            label="All versions",
            format="png",
            visible=False,
            height="auto",
            object_fit="contain",
            elem_classes="versions",
        )
        told = gr.Markdown()
        table = gr.Dataframe(headers=HEADS, visible=False, interactive=False, buttons=[], elem_classes="scores")
        shown = [kept, slider, gallery, told, table]
        private: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": 1}
        photograph.change(color, [photograph, choice], shown, preprocess=False, **private)
        choice.change(compare, [kept, choice], slider, **private)
    return app.queue(max_size=WAITING)


def _examples() -> dict[str, str]:
    """Name → file of photographs that are installed with scikit-image anyway."""
    spec = find_spec("skimage")
    folder = Path(spec.origin).parent / "data" if spec and spec.origin else Path()
    return {name: str(folder / file) for name, file in EXAMPLES.items() if (folder / file).is_file()}


def _gradio() -> Any:
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    try:
        import gradio
    except ImportError:
        raise BenchError("bench app needs the extra 'app': pip install -e '.[app]'") from None
    return gradio


class OwnPages:
    """ASGI middleware that refuses requests which other sites send through a visitor's browser."""

    def __init__(self, app: Any, bound: str) -> None:
        self.app, self.bound = app, bound

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handles one request."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope.get("headers", ())}
        reason = refusal(self.bound, headers.get("host", ""), headers.get("origin"))
        if scope["type"] == "http" and reason:
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": reason.encode()})
        elif scope["type"] == "websocket" and reason:
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self.app(scope, receive, send)


def start(colorizers: Mapping[str, Colorizer], host: str, port: int, folder: Path) -> "gradio.Blocks":
    """Serves the page in threads, until its `close()`.

    Args:
        colorizers: name → the colorizer to use.
        host: the address to listen on.
        port: the port, or 0 for any free one from 7860 on.
        folder: the folder that holds photographs while they are needed.

    Raises:
        BenchError: Gradio is not installed.
        InputError: the address cannot be used.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    gr = _gradio()
    from starlette.middleware import Middleware

    app = make_app(colorizers)
    try:
        app.launch(
            server_name=host,
            server_port=port or None,
            share=False,
            prevent_thread_lock=True,
            quiet=True,
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            mcp_server=False,
            max_file_size=MAX_UPLOAD_BYTES,
            theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
            css=STYLE,
            app_kwargs={"middleware": [Middleware(OwnPages, bound=host)]},
        )
    except OSError as error:
        raise InputError(f"cannot serve on {host}:{port}: {error}") from None
    return app


def serve(colorizers: Mapping[str, Colorizer], host: str, port: int) -> None:
    """Serves the page until Ctrl-C, and then deletes every photograph.

    Raises:
        BenchError: Gradio is not installed.
        InputError: the address cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="bench-app-", ignore_cleanup_errors=True) as folder:
        app = start(colorizers, host, port, Path(folder))
        print(f"{app.local_url}\nCtrl-C ends", flush=True)
        app.block_thread()
