"""A model behind HTTP: MLflow's own server of models in this process, with a page that says what to send."""

import json
import os
import shlex
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment

from howdeep.errors import UserError, line
from howdeep.processes.ports import HOST, listening
from howdeep.processes.signals import stop_if_asked, stop_on_signals

QUESTIONS = "/invocations"
PAGES = ("/docs", "/redoc", "/docs/oauth2-redirect")  # of FastAPI
KINDS = {"double": "number", "string": "text"}
PAGE = Path(__file__).parent / "serving.html"


def serve(folder: Path, name: str, port: int) -> int:
    """Answers questions until Ctrl-C or SIGTERM: POST /invocations, GET /health, GET /docs.

    Args:
        folder: of a model that MLflow wrote.
        name: what the model is called.

    Raises:
        UserError: the port is taken, or the folder holds no model that can be loaded.
    """
    stop_on_signals()  # an interrupt that MLflow's imports would swallow comes again
    with listening(port, f"howdeep serve {name}") as listener:
        os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"}
        import uvicorn

        server = uvicorn.Server(uvicorn.Config(_application(folder, name, port), log_level="warning"))
        stop_if_asked()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        print(f"{name}: http://{HOST}:{port}/docs (Ctrl-C ends it)", file=sys.stderr, flush=True)
        with suppress(KeyboardInterrupt):  # uvicorn ends in order, then raises again what it was ended by
            server.run(sockets=[listener])
        return 0 if server.started else 1


def _application(folder: Path, name: str, port: int) -> Any:
    from fastapi.responses import HTMLResponse
    from fastapi.routing import APIRoute
    from mlflow.pyfunc import load_model, scoring_server

    try:
        model = load_model(str(folder))
        question, answer = _example(model)
    except Exception as error:  # whatever another model, one of an older howdeep, or a broken one raises
        raise UserError(
            f"expected a model of MLflow in {folder}, got one that cannot be loaded, or answers not even its own "
            f"example ({line(error)})"
        ) from None
    application = scoring_server.init(model)
    application.title, application.version = name, "1"
    routes = [route for route in application.router.routes if getattr(route, "path", "") not in PAGES]
    for route in routes:
        if isinstance(route, APIRoute) and route.path == QUESTIONS:
            content = {"application/json": {"example": question}}
            route.openapi_extra = {"requestBody": {"required": True, "content": content}}
    application.router.routes[:] = routes
    page = _page(model, name, question, answer, port)
    application.get("/docs", response_class=HTMLResponse, include_in_schema=False)(lambda: page)
    return application


def _example(model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A question and its answer: of rows, or of arrays where the model reads such, noise of one that makes examples."""
    example: Any = model.input_example
    answer: Any = model.predict(example)
    if isinstance(example, np.ndarray):
        return {"inputs": example[:1].tolist()}, {"predictions": answer[:1].tolist()}
    rows = json.loads(example.to_json(orient="split", index=False))
    return {"dataframe_split": rows}, {"predictions": answer.to_dict(orient="records")}


def _page(model: Any, name: str, question: Mapping[str, Any], answer: Mapping[str, Any], port: int) -> str:
    """What to send, and what comes: FastAPI's own page would be fetched from elsewhere, and stay empty without."""
    template = Environment(autoescape=True, trim_blocks=True).from_string(PAGE.read_text(encoding="utf-8"))
    schema = model.metadata.get_input_schema()
    return template.render(
        name=name, question=shlex.quote(json.dumps(question)), answer=json.dumps(answer),
        address=f"http://{HOST}:{port}",
        columns=[(column.name, KINDS[column.type.name]) for column in schema.inputs if column.name],
        shape=[size for size in schema.inputs[0].shape[1:]] if schema.is_tensor_spec() else None,
    )  # fmt: skip
