"""Serves a page that colors a dropped photograph with every trained method; it needs the extra `app` (Gradio).

The page is served to this machine alone unless told otherwise, loads nothing from other hosts (no telemetry, fonts or
scripts), and deletes the photographs when the server ends.
"""

import base64
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from benchmark.data.color import gray_of
from benchmark.data.preparation.archives import read_image_file
from benchmark.data.preparation.images import BadImage, open_rgb
from benchmark.photographs.colorize import has_color, png
from benchmark.photographs.colorizer import Colorizer, Rgb
from benchmark.results.tables import ARROWS, NOTHING, number
from benchmark.scoring.metrics import METRICS
from benchmark.scoring.metrics.scorer import Scorer
from benchmark.scoring.prediction import BadPrediction
from benchmark.study.hosts import refusal
from benchmark.support.errors import BenchError, InputError
from benchmark.support.templates import environment

if TYPE_CHECKING:
    import gradio

MAX_UPLOAD_BYTES = 32 * 2**20
MAX_PIXELS = 64_000_000  # pixels of a large camera; they take 192 MB when decoded
SHOWN = 1024  # longest side in pixels; `bench colorize` keeps a photograph's own size
SCORED = ("psnr", "ssim", "auc", "delta_e00", "colorfulness")
WAITING = 16  # people who may wait at most while one photograph is colored
ABOUT = f"""# Color a photograph

Drop a photograph, in color or gray. Every method sees its lightness alone. If it has color, each version is scored
against it. Shown at {SHOWN} pixels at most; `bench colorize` keeps a photograph's own size.
"""
STYLE = """
.gradio-container { max-width: 80rem !important; margin: auto; }
.versions { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(45%, 18rem), 1fr)); gap: .8rem; }
.versions figure { margin: 0; }
.versions img { width: 100%; display: block; border-radius: .3rem; }
.wide { overflow-x: auto; width: 0; min-width: 100%; } /* as wide as the page, never wider */
.scored { margin: 1.2rem 0 .4rem; }
.wide table { border-collapse: collapse; width: auto !important; font-variant-numeric: tabular-nums; }
.wide :is(table, thead, tbody, tr) { border: 0 !important; }
.wide th, .wide td { padding: .3rem 0 .3rem .9rem !important; text-align: right !important; white-space: nowrap; }
.wide tr > * { border: 0 !important; border-bottom: 1px solid #8885 !important; }
.wide tr > :first-child { text-align: left !important; padding-left: 0 !important; font-weight: 400; }
.fault { font-weight: 600; }
"""


def color_upload(path: Path, colorizers: Mapping[str, Colorizer]) -> str:
    """Colors an uploaded file with every method; returns HTML of the versions, with scores if the file has color."""
    try:
        photograph = open_rgb(read_image_file(path), MAX_PIXELS)
        photograph.thumbnail((SHOWN, SHOWN), Image.Resampling.LANCZOS)
        original = np.array(photograph)
        versions = {"gray": gray_of(original[None])[0]}
        versions |= {name: colorizer(photograph) for name, colorizer in colorizers.items()}
    except (BadImage, BadPrediction, OSError) as error:
        return _render(fault=f"This file cannot be colored: {error}")
    rows = score_rows(versions, original) if has_color(photograph) else []
    shown = versions | ({"the photograph": original} if rows else {})
    heads = [METRICS[name].label + ARROWS[METRICS[name].direction] for name in SCORED]
    return _render(pictures=[(name, _address(image)) for name, image in shown.items()], heads=heads, rows=rows)


def score_rows(versions: Mapping[str, Rgb], original: Rgb) -> list[tuple[str, list[str]]]:
    """Returns each version's scores against the photograph, and the photograph's own colorfulness, as texts.

    Args:
        versions: name → colored version, (H, W, 3) uint8.
        original: the photograph, (H, W, 3) uint8.
    """
    rows = []
    for name, image in {**versions, "the photograph": original}.items():
        scorer = Scorer(device=torch.device("cpu"), metrics=SCORED)
        scorer.update(torch.from_numpy(image)[None], torch.from_numpy(original)[None])
        values = scorer.compute().values
        known = [metric if image is not original or metric == "colorfulness" else "" for metric in SCORED]
        texts = [NOTHING if (value := values.get(m)) is None else number(value, METRICS[m].digits) for m in known]
        rows.append((name, texts))
    return rows


def _render(**content: Any) -> str:
    template = environment("benchmark.photographs").get_template("app.html.j2")
    return template.render({"fault": "", "pictures": [], "heads": [], "rows": []} | content)


def _address(image: Rgb) -> str:
    return f"data:image/png;base64,{base64.b64encode(png(Image.fromarray(image))).decode()}"


def make_app(colorizers: Mapping[str, Colorizer]) -> "gradio.Blocks":
    """Makes the page.

    Raises:
        BenchError: Gradio is not installed.
    """
    gr = _gradio()

    def color(path: str | None) -> str:
        return "" if path is None else color_upload(Path(path), colorizers)

    with gr.Blocks(title="colorbench", analytics_enabled=False, delete_cache=(600, 600)) as app:
        gr.Markdown(ABOUT)
        photograph = gr.File(label="Photograph", file_types=["image"], type="filepath", height=140)
        colored = gr.HTML()
        photograph.change(color, photograph, colored, api_visibility="private", concurrency_limit=1)
    return app.queue(max_size=WAITING)


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
