"""The application: routes, problems and documentation, wired."""

from __future__ import annotations

from functools import partial
from importlib import metadata

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from webapp import problems
from webapp.documentation import build_openapi
from webapp.parts import Parts
from webapp.routes import pages
from webapp.routes.admin import AdminRoutes
from webapp.routes.aip import AipRoute
from webapp.routes.batches import BatchRoutes
from webapp.routes.cog import PredictionRoutes
from webapp.routes.deliveries import DeliveryRoutes
from webapp.routes.devices import DeviceRoutes
from webapp.routes.events import EventRoutes
from webapp.routes.fal import FalRoutes
from webapp.routes.health import HealthRoutes
from webapp.routes.jobs import JobRoutes
from webapp.routes.models import ModelRoutes
from webapp.routes.open_inference import OpenInferenceRoutes
from webapp.routes.open_inference_models import OpenInferenceModelRoutes
from webapp.routes.operations import OperationRoutes
from webapp.routes.outputs import OutputRoutes
from webapp.routes.pictures import PictureRoutes
from webapp.routes.raw import RawRoute
from webapp.routes.replicate import ReplicateRoutes
from webapp.routes.submitting import SubmitRoutes
from webapp.routes.webhooks import WebhookRoutes

_DESCRIPTION = "Post a picture, name a model; the result comes back as a signed webhook."


def create_app(parts: Parts) -> FastAPI:
    """Make the application of *parts*."""
    app = FastAPI(
        title="gw",
        version=metadata.version("gw"),
        description=_DESCRIPTION,
        # Our own page: FastAPI's loads its script from a CDN.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    # On the app's own router: every included one costs a pass of matching more.
    app.router.route_class = RawRoute
    SubmitRoutes(parts).install(app)
    JobRoutes(parts).install(app)
    PictureRoutes(parts).install(app)
    EventRoutes(parts).install(app)
    BatchRoutes(parts).install(app)
    ModelRoutes(parts).install(app)
    DeviceRoutes(parts).install(app)
    WebhookRoutes(parts).install(app)
    DeliveryRoutes(parts).install(app)
    OperationRoutes(parts).install(app)
    AdminRoutes(parts).install(app)
    HealthRoutes(parts).install(app)
    OpenInferenceRoutes(parts).install(app)
    OpenInferenceModelRoutes(parts).install(app)
    OutputRoutes(parts).install(app)
    PredictionRoutes(parts).install(app)
    ReplicateRoutes(parts, version=app.version).install(app)
    FalRoutes(parts).install(app)
    AipRoute(parts).install(app)
    pages.install(app)
    problems.install(app)
    _allow_origins(app, parts.settings.cors_origins)
    # The documented way to replace a FastAPI app's schema.
    app.openapi = partial(build_openapi, app)  # type: ignore[method-assign]
    return app


def _allow_origins(app: FastAPI, origins: str) -> None:
    """Let pages of *origins*, separated by commas, call the API from a browser; none by default.

    Without credentials: keys travel in a header that a page must set itself.
    """
    named = [origin.strip().rstrip("/") for origin in origins.split(",") if origin.strip()]
    if named:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=named,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["*"],
            expose_headers=[
                "Location",
                "Preference-Applied",
                "RateLimit",
                "RateLimit-Policy",
                "Retry-After",
            ],
        )
