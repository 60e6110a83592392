"""Keys, tenants and the audit log over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.access.audit import AuditLog
from pipeline.access.keys import KeyStore, Scope, make_key
from pipeline.protocol import Keyspace
from tests.integration.webapp.running import Webapp, add_key

Call = Callable[..., Any]


def bearer(token: str) -> dict[str, str]:
    """Give the header that carries *token*."""
    return {"authorization": f"Bearer {token}"}


async def create(webapp: Webapp, **fields: Any) -> dict[str, Any]:
    """Make a key over HTTP; give the answer."""
    answer = await webapp.http.post("/v1/keys", json={"tenant": "acme"} | fields)
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


def check(answer: httpx.Response, status: int, code: str) -> Mapping[str, Any]:
    """Check that *answer* is the problem *code*."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    problem: Mapping[str, Any] = answer.json()
    return problem


ROUTES = [
    ("POST", "/v1/jobs", Scope.SUBMIT),
    ("GET", "/v1/jobs", Scope.READ_OWN),
    ("GET", "/v1/jobs/job_00000000000000000000000000", Scope.READ_OWN),
    ("GET", "/v1/webhooks", Scope.MANAGE_WEBHOOKS),
    ("GET", "/v1/keys", Scope.ADMIN),
    ("POST", "/v1/keys", Scope.ADMIN),
    ("GET", "/v1/keys/00000000", Scope.ADMIN),
    ("POST", "/v1/keys/00000000/rotate", Scope.ADMIN),
    ("DELETE", "/v1/keys/00000000", Scope.ADMIN),
    ("GET", "/v1/tenants", Scope.ADMIN),
    ("GET", "/v1/tenants/acme", Scope.ADMIN),
    ("PUT", "/v1/tenants/acme", Scope.ADMIN),
    ("GET", "/v1/audit", Scope.ADMIN),
]


async def test_a_key_without_the_scope_is_told_which_it_lacks(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """Every route asks for its own scope, and a key with all others does not do."""
    tokens = {
        scope: await add_key(
            redis, keys, tenant="acme", scopes=set(Scope) - {scope, Scope.READ_ALL}
        )
        for scope in {scope for _, _, scope in ROUTES}
    }

    for method, path, scope in ROUTES:
        answer = await webapp.http.request(method, path, headers=bearer(tokens[scope]))

        assert check(answer, 403, "missing_scope")["scope"] == scope, path


async def test_a_key_reads_its_own_jobs_or_all_of_its_tenant(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """With read_own another key's job does not exist; with read_all it does, within the tenant."""
    own = await add_key(redis, keys, tenant="acme", scopes={Scope.SUBMIT, Scope.READ_OWN})
    everything = await add_key(redis, keys, tenant="acme", scopes={Scope.READ_ALL})
    foreign = await add_key(redis, keys, tenant="other")
    job = await webapp.submit()
    mine = (await webapp.post(headers=bearer(own))).json()

    async def sees(token: str, document: Mapping[str, Any]) -> bool:
        answer = await webapp.http.get(document["links"]["self"], headers=bearer(token))
        return answer.status_code == 200

    async def listed(token: str) -> set[str]:
        answer = await webapp.http.get("/v1/jobs", headers=bearer(token))
        return {each["id"] for each in answer.json()["jobs"]}

    assert await listed(own) == {mine["id"]}
    assert [await sees(own, each) for each in (mine, job)] == [True, False]
    assert await listed(everything) == {mine["id"], job["id"]}
    assert [await sees(everything, each) for each in (mine, job)] == [True, True]
    assert await listed(foreign) == set()
    assert [await sees(foreign, each) for each in (mine, job)] == [False, False]


async def test_a_key_from_before_scopes_still_works(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """It may submit and read its tenant's jobs, as it always could, and administer nothing."""
    token, record = make_key(tenant="acme", description="", now_unix_ms=1)
    old = (
        f'{{"key_id": "{record.key_id}", "tenant": "acme", "description": "",'
        f' "created_unix_ms": 1, "secret_sha256": "{record.secret_sha256}"}}'
    )
    await redis.hset(keys.api_keys, record.key_id, old)
    foreign = await webapp.submit()

    answer = await webapp.post(headers=bearer(token))
    assert answer.status_code == 202
    read = await webapp.http.get(foreign["links"]["self"], headers=bearer(token))
    assert read.status_code == 200
    check(await webapp.http.get("/v1/keys", headers=bearer(token)), 403, "missing_scope")


async def test_a_key_is_made_used_and_revoked(webapp: Webapp, redis: Redis, keys: Keyspace) -> None:
    """Its token is shown once, works at once, and ceases to at once."""
    made = await create(webapp, description="line 3", scopes=["submit", "read_own"])
    token = made.pop("token")

    assert (await webapp.post(headers=bearer(token))).status_code == 202
    listed = (await webapp.http.get("/v1/keys")).json()["keys"]
    (found,) = [each for each in listed if each["id"] == made["id"]]
    assert found["last_used_at"] is not None
    assert found | {"last_used_at": None} == made
    assert token.split("_", 2)[2] not in (await webapp.http.get("/v1/keys")).text

    gone = await webapp.http.delete(f"/v1/keys/{made['id']}")
    assert gone.status_code == 204
    check(await webapp.post(headers=bearer(token)), 401, "access_denied")
    check(await webapp.http.delete(f"/v1/keys/{made['id']}"), 404, "not_found")
    assert await KeyStore(redis, keys).last_used() == {
        key: used
        for key, used in (await KeyStore(redis, keys).last_used()).items()
        if key != made["id"]
    }


async def test_a_rotated_key_has_two_secrets_for_a_while(webapp: Webapp) -> None:
    """Both count during the overlap; without one the old secret ends at once."""
    made = await create(webapp)
    path = f"/v1/keys/{made['id']}"

    rotated = (await webapp.http.post(f"{path}/rotate")).json()
    again = (await webapp.http.post(f"{path}/rotate", json={"overlap_s": 0})).json()

    assert rotated["previous_secret_until"] is not None
    assert again["previous_secret_until"] is None
    assert len({made["token"], rotated["token"], again["token"]}) == 3
    statuses = [
        (await webapp.post(headers=bearer(each["token"]))).status_code
        for each in (made, rotated, again)
    ]
    assert statuses == [401, 401, 202]


async def test_the_secret_before_counts_until_the_overlap_ends(webapp: Webapp) -> None:
    """A client that has not changed over yet goes on working."""
    made = await create(webapp)

    rotated = (await webapp.http.post(f"/v1/keys/{made['id']}/rotate")).json()

    for each in (made, rotated):
        assert (await webapp.post(headers=bearer(each["token"]))).status_code == 202


async def test_an_expired_key_says_so(webapp: Webapp, redis: Redis, keys: Keyspace) -> None:
    """Whoever holds the secret learns why it does not work any more."""
    token, record = make_key(tenant="acme", description="", now_unix_ms=1, expires_unix_ms=5)
    await KeyStore(redis, keys).add(record)

    answer = await webapp.post(headers=bearer(token))

    assert "expired" in check(answer, 401, "access_denied")["detail"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"tenant": "A B"}, "tenant"),
        ({"tenant": "a", "scopes": ["root"]}, "scopes.0"),
        ({"tenant": "a", "scopes": []}, "scopes"),
        ({"tenant": "a", "expires_in_s": 0}, "expires_in_s"),
        ({"tenant": "a", "secret": "x"}, "secret"),
        ({}, "tenant"),
    ],
)
async def test_a_key_that_cannot_be_made_is_refused(
    webapp: Webapp, fields: Mapping[str, Any], field: str
) -> None:
    """The field is named, and nothing is made."""
    before = (await webapp.http.get("/v1/keys")).json()

    answer = await webapp.http.post("/v1/keys", json=fields)

    assert check(answer, 400, "invalid_request")["field"] == field
    assert [key["id"] for key in (await webapp.http.get("/v1/keys")).json()["keys"]] == [
        key["id"] for key in before["keys"]
    ]


async def test_a_tenant_is_set_and_read(webapp: Webapp) -> None:
    """What is named is set, the rest has its default; a tenant without a record has them all."""
    answer = await webapp.http.put("/v1/tenants/acme", json={"weight": 3, "jobs_per_s": 2.5})

    assert answer.status_code == 200
    assert answer.json()["weight"] == 3.0
    assert (await webapp.http.get("/v1/tenants/acme")).json() == answer.json()
    assert (await webapp.http.get("/v1/tenants/nobody")).json()["weight"] == 1.0
    names = [each["tenant"] for each in (await webapp.http.get("/v1/tenants")).json()["tenants"]]
    assert names == ["acme"]


@pytest.mark.parametrize(
    ("path", "fields", "field"),
    [
        ("/v1/tenants/acme", {"weight": 0}, "weight"),
        ("/v1/tenants/acme", {"weight": "3"}, "weight"),
        ("/v1/tenants/acme", {"jobs_per_s": -1}, "jobs_per_s"),
        ("/v1/tenants/acme", {"limit": 1}, "limit"),
        ("/v1/tenants/A%3AB", {}, "tenant"),
    ],
)
async def test_settings_that_no_tenant_may_have_are_refused(
    webapp: Webapp, redis: Redis, keys: Keyspace, path: str, fields: Mapping[str, Any], field: str
) -> None:
    """The field is named, and nothing is set."""
    answer = await webapp.http.put(path, json=fields)

    assert check(answer, 400, "invalid_request")["field"] == field
    assert not await redis.exists(keys.tenants)


async def test_every_act_is_audited_without_its_secret(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """The log tells which key did what to what, the newest first, and no token is in it."""
    made = await create(webapp)
    rotated = (await webapp.http.post(f"/v1/keys/{made['id']}/rotate")).json()
    await webapp.http.put("/v1/tenants/acme", json={})
    await webapp.http.delete(f"/v1/keys/{made['id']}")

    answer = await webapp.http.get("/v1/audit", params={"limit": 3})

    lines = answer.json()["lines"]
    assert [(line["action"], line["subject"]) for line in lines] == [
        ("key.revoked", made["id"]),
        ("tenant.set", "acme"),
        ("key.rotated", made["id"]),
    ]
    assert {line["actor"] for line in lines} == {f"key:{webapp.token.split('_')[1]}"}
    everything = str(await redis.xrange(keys.audit))
    for token in (made["token"], rotated["token"]):
        assert token.split("_", 2)[2] not in everything
    assert len(await AuditLog(redis, keys).newest(100)) == 4
