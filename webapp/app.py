"""The application: routes, problems and documentation, wired."""

from __future__ import annotations

from functools import partial
from importlib import metadata

from fastapi import FastAPI

from webapp import problems
from webapp.documentation import build_openapi
from webapp.parts import Parts
from webapp.routes import pages
from webapp.routes.health import HealthRoutes
from webapp.routes.jobs import JobRoutes
from webapp.routes.models import ModelRoutes
from webapp.routes.raw import RawRoute

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
    JobRoutes(parts).install(app)
    ModelRoutes(parts).install(app)
    HealthRoutes(parts).install(app)
    pages.install(app)
    problems.install(app)
    # The documented way to replace a FastAPI app's schema.
    app.openapi = partial(build_openapi, app)  # type: ignore[method-assign]
    return app
