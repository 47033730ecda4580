"""The endpoint as clients see it: the official SDK, real HTTP to it and to what stands behind it."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from helpers.endpoint import CALL, KEY, Running, StandIn, endpoint, stand_in
from memory.encoders import TextEncoder
from memory.entries import Entry
from memory.store import Store
from serve.app import Limits
from serve.service import Way
from step import Case

TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
CARD = "Where do I link my card?"


def in_box(text: str) -> str:
    """What the stand-in says: always the same label."""
    return "\\boxed{card linking}"


@pytest.fixture(scope="module", autouse=True)
def key() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_API_KEY", KEY)
        yield


@pytest.fixture(scope="module")
def behind() -> Iterator[StandIn]:
    with stand_in(answer=in_box) as server:
        yield server


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, text_encoder: TextEncoder, behind: StandIn) -> Iterator[Running]:
    with endpoint(tmp_path_factory.mktemp("served"), text_encoder, behind) as running:
        yield running


@pytest.fixture
def sdk(served: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.address}/v1", api_key="the-client's", max_retries=0)


def says(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def feed(served: Running, **body: Any) -> httpx2.Response:
    return httpx2.post(f"{served.address}/v1/feedback", json=body, timeout=60)


def get(served: Running, path: str, **options: Any) -> Any:
    response = httpx2.get(f"{served.address}{path}", timeout=60, **options)
    assert response.status_code == 200, response.text
    return response.json()


# -- answers -----------------------------------------------------------------------------------------------------------


def test_answer_is_the_upstreams_but_for_its_id(sdk: openai.OpenAI, served: Running, behind: StandIn) -> None:
    through = sdk.chat.completions.create(model="model", messages=says(CARD), temperature=0.3, seed=5).to_dict()
    sent = behind.bodies[-1]
    direct = httpx2.post(f"{behind.address}/chat/completions", json=sent).json()
    assert through.pop("id") != direct.pop("id")
    assert through == direct
    assert (sent["temperature"], sent["seed"], sent["model"]) == (0.3, 5, "model")
    assert CARD in sent["messages"][-1]["content"] and "card arrival" in sent["messages"][-1]["content"]


def test_upstream_gets_its_own_key_and_never_the_clients(sdk: openai.OpenAI, behind: StandIn) -> None:
    sdk.chat.completions.create(model="model", messages=says(CARD), extra_headers={"X-Secret": "theirs"})
    headers = behind.headers[-1]
    assert headers["authorization"] == f"Bearer {KEY}"
    assert "the-client's" not in str(headers) and "x-secret" not in headers


def test_streams(sdk: openai.OpenAI, served: Running) -> None:
    pieces = list(sdk.chat.completions.create(model="model", messages=says(CARD), stream=True))
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == "\\boxed{card linking}"
    (id,) = {piece.id for piece in pieces}
    answered = served.service.ledger.get(id)
    assert answered is not None and answered.output == "\\boxed{card linking}"
    assert feed(served, id=id, reward=1).json()["outcome"] == "learned"


def test_asynchronous_client(served: Running) -> None:
    async def ask() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{served.address}/v1", api_key="x", max_retries=0) as client:
            asked = [client.chat.completions.create(model="model", messages=says(f"{CARD} {i}")) for i in range(8)]
            return [answer.id for answer in await asyncio.gather(*asked)]

    ids = asyncio.run(ask())
    assert len(set(ids)) == 8 and all(served.service.ledger.get(id) for id in ids)


@pytest.mark.parametrize("stream", [False, True])
def test_tools(sdk: openai.OpenAI, served: Running, stream: bool) -> None:
    options: dict[str, Any] = {"model": "model", "messages": says(CARD), "tools": [TOOL]}
    if stream:
        pieces = list(sdk.chat.completions.create(stream=True, **options))
        calls = [call for piece in pieces for call in piece.choices[0].delta.tool_calls or []]
        id, name = pieces[0].id, calls[0].function.name  # type: ignore[union-attr]
    else:
        answer = sdk.chat.completions.create(**options)
        id, name = answer.id, answer.choices[0].message.tool_calls[0].function.name  # type: ignore[index,union-attr]
    assert name == CALL["function"]["name"]  # type: ignore[index]
    answered = served.service.ledger.get(id)
    assert answered is not None and json.loads(answered.output)[0]["function"] == CALL["function"]


def test_last_message_of_the_user_takes_the_prompt_and_all_else_stays(sdk: openai.OpenAI, behind: StandIn) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    before = [{"role": "system", "content": "be brief"}, *says("hello"), {"role": "assistant", "content": "yes?"}]
    last = {"role": "user", "content": [{"type": "text", "text": CARD}, image]}
    sdk.chat.completions.create(model="model", messages=[*before, last])  # type: ignore[list-item]
    sent = behind.bodies[-1]["messages"]
    assert sent[:3] == before
    assert CARD in sent[3]["content"][0]["text"] and sent[3]["content"][1] == image


def test_what_the_upstream_refuses_is_passed_on_and_leaves_no_answer(
    served: Running, behind: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = get(served, "/v1/stats")["requests"]
    monkeypatch.setattr(behind, "status", 429)
    for stream in (False, True):
        body = {"model": "model", "messages": says(CARD), "stream": stream}
        response = httpx2.post(f"{served.address}/v1/chat/completions", json=body)
        assert (response.status_code, response.headers["retry-after"]) == (429, "7")
        assert response.json()["error"]["message"] == "not now"
    assert get(served, "/v1/stats")["requests"] == before


def test_stream_that_was_cut_off_is_no_answer(
    sdk: openai.OpenAI, served: Running, behind: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behind, "cut", True)
    pieces = list(sdk.chat.completions.create(model="model", messages=says(CARD), stream=True))
    assert served.service.ledger.get(pieces[0].id) is None


def test_upstream_that_is_not_there(tmp_path: Path, text_encoder: TextEncoder, behind: StandIn) -> None:
    with stand_in() as gone, endpoint(tmp_path, text_encoder, gone) as running:
        service = running.service
        running.tenants.get("")
        upstream = httpx2.post(f"{running.address}/v1/chat/completions", json={"messages": says(CARD)})
        assert upstream.status_code == 200
        gone.answer = lambda text: 1 / 0  # type: ignore[assignment,return-value]
        broken = httpx2.post(f"{running.address}/v1/chat/completions", json={"messages": says(CARD)})
        assert broken.status_code == 500
        assert service.describe()["requests"] == 1


# -- feedback ----------------------------------------------------------------------------------------------------------


def test_what_was_right_becomes_a_case_that_the_next_request_is_shown(
    tmp_path: Path, text_encoder: TextEncoder, behind: StandIn
) -> None:
    with endpoint(tmp_path, text_encoder, behind) as running:
        client = openai.OpenAI(base_url=f"{running.address}/v1", api_key="x")
        first = client.chat.completions.create(model="model", messages=says(CARD))
        assert "<case>" not in behind.bodies[-1]["messages"][-1]["content"]
        assert feed(running, id=first.id, reward=1).json() == {"id": first.id, "outcome": "learned"}
        second = client.chat.completions.create(model="model", messages=says("link a card"))
        prompt = behind.bodies[-1]["messages"][-1]["content"]
        assert "<case>" in prompt and CARD in prompt
        feed(running, id=second.id, reward=0)
        (case,) = get(running, "/v1/cases")["cases"]
        assert (case["task"], case["answer"], case["shown"], case["with_feedback"], case["right"]) == (
            CARD,
            "card linking",
            1,
            1,
            0,
        )


def test_feedback_that_is_late_repeated_contradicting_or_unknown(sdk: openai.OpenAI, served: Running) -> None:
    id = sdk.chat.completions.create(model="model", messages=says("a late one")).id
    for i in range(3):
        sdk.chat.completions.create(model="model", messages=says(f"between {i}"))
    assert feed(served, id=id, reward=1).status_code == 200
    again = feed(served, id=id, reward=1)
    assert (again.status_code, again.json()["outcome"]) == (200, "repeated")
    assert feed(served, id=id, reward=0).status_code == 409
    assert feed(served, id="chatcmpl-nobody", reward=1).status_code == 404
    event = served.service.ledger.event_of(id)
    assert event is not None and event.reward == 1


def test_correction_becomes_the_case(sdk: openai.OpenAI, served: Running) -> None:
    id = sdk.chat.completions.create(model="model", messages=says("my pin is blocked, help")).id
    assert feed(served, id=id, reward=0, answer="no label of the task").status_code == 422
    assert served.service.ledger.event_of(id) is None
    assert feed(served, id=id, reward=0, answer="pin blocked").status_code == 200
    case = get(served, "/v1/cases")["cases"][0]
    assert (case["task"], case["answer"], case["reward"]) == ("my pin is blocked, help", "pin blocked", 1)


@pytest.mark.parametrize("way", ["metadata", "headers"])
def test_feedback_comes_with_the_next_question_of_a_client_that_knows_only_the_sdk(
    sdk: openai.OpenAI, served: Running, behind: StandIn, way: str
) -> None:
    id = sdk.chat.completions.create(model="model", messages=says(f"by {way}")).id
    if way == "metadata":
        said = {"feedback_id": id, "feedback_reward": "1", "session": "kept"}
        sdk.chat.completions.create(model="model", messages=says("next"), metadata=said)
        assert behind.bodies[-1]["metadata"] == {"session": "kept"}
    else:
        said = {"X-Feedback-Id": id, "X-Feedback-Reward": "1"}
        sdk.chat.completions.create(model="model", messages=says("next"), extra_headers=said)
    event = served.service.ledger.event_of(id)
    assert event is not None and event.reward == 1
    with pytest.raises(openai.NotFoundError):
        sdk.chat.completions.create(
            model="model", messages=says("x"), extra_headers={"X-Feedback-Id": "no", "X-Feedback-Reward": "1"}
        )


def test_case_that_was_taken_out_is_shown_no_more(sdk: openai.OpenAI, served: Running, behind: StandIn) -> None:
    id = sdk.chat.completions.create(model="model", messages=says("a question to forget entirely")).id
    feed(served, id=id, reward=1)
    found = get(served, "/v1/cases", params={"q": "a question to forget entirely", "limit": 1})["cases"][0]
    assert found["task"] == "a question to forget entirely"
    assert httpx2.delete(f"{served.address}/v1/cases/{found['key']}").status_code == 200
    assert httpx2.delete(f"{served.address}/v1/cases/{found['key']}").status_code == 404
    sdk.chat.completions.create(model="model", messages=says("a question to forget entirely"))
    assert behind.bodies[-1]["messages"][-1]["content"].count("a question to forget entirely") == 1


# -- ways --------------------------------------------------------------------------------------------------------------


def test_holdout_is_answered_without_cases_and_measures_the_gain(
    tmp_path: Path, text_encoder: TextEncoder, behind: StandIn
) -> None:
    with endpoint(tmp_path, text_encoder, behind, way=Way(holdout=0.5, waits=True)) as running:
        client = openai.OpenAI(base_url=f"{running.address}/v1", api_key="x")
        for i in range(30):
            id = client.chat.completions.create(model="model", messages=says(f"{CARD} {i}")).id
            shown = "<case>" in behind.bodies[-1]["messages"][-1]["content"]
            feed(running, id=id, reward=int(shown or i < 5))
        stats = get(running, "/v1/stats")
        groups = stats["groups"]
        assert groups["cases"]["requests"] + groups["holdout"]["requests"] == 30
        assert 5 < groups["holdout"]["requests"] < 25
        assert stats["gain"]["interval"][0] > 0
        assert stats["gain"]["difference"] > 0.5


def test_shadow_chooses_and_keeps_but_sends_the_plain_prompt(
    tmp_path: Path, text_encoder: TextEncoder, behind: StandIn
) -> None:
    with endpoint(tmp_path, text_encoder, behind, way=Way(explore="shadow", waits=True)) as running:
        client = openai.OpenAI(base_url=f"{running.address}/v1", api_key="x")
        for i in range(3):
            id = client.chat.completions.create(model="model", messages=says(f"{CARD} {i}")).id
            feed(running, id=id, reward=1)
        assert "<case>" not in behind.bodies[-1]["messages"][-1]["content"]
        assert len(get(running, "/v1/requests")["requests"][0]["cases"]) == 1
        assert get(running, "/v1/stats")["cases"] == 3


def test_tenants_share_nothing(tmp_path: Path, text_encoder: TextEncoder, behind: StandIn) -> None:
    limits = Limits(tenant_header="X-Tenant")
    with endpoint(tmp_path, text_encoder, behind, limits) as running:
        ids = {}
        for tenant in ("one", "two", "../../etc"):
            client = openai.OpenAI(base_url=f"{running.address}/v1", api_key="x", default_headers={"X-Tenant": tenant})
            ids[tenant] = client.chat.completions.create(model="model", messages=says(f"secret of {tenant}")).id
        as_one = {"headers": {"X-Tenant": "one"}}
        stolen = httpx2.post(f"{running.address}/v1/feedback", json={"id": ids["two"], "reward": 1}, **as_one)  # type: ignore[arg-type]
        assert stolen.status_code == 404
        own = httpx2.post(f"{running.address}/v1/feedback", json={"id": ids["one"], "reward": 1}, **as_one)  # type: ignore[arg-type]
        assert own.status_code == 200
        assert get(running, "/v1/cases", **as_one)["total"] == 1
        assert get(running, "/v1/cases", headers={"X-Tenant": "two"})["total"] == 0
        assert "secret of two" not in json.dumps(get(running, "/v1/requests", **as_one))
        assert httpx2.get(f"{running.address}/v1/stats").status_code == 400
        folders = {path.parent for path in tmp_path.rglob("ledger.sqlite")}
        assert len(folders) == 3 and all(folder.is_relative_to(tmp_path) for folder in folders)


def test_everything_but_health_and_the_empty_page_needs_the_key(
    tmp_path: Path, text_encoder: TextEncoder, behind: StandIn
) -> None:
    with endpoint(tmp_path, text_encoder, behind, Limits(api_key="right")) as running:
        for path in ("/v1/stats", "/v1/cases", "/v1/requests", "/v1/models", "/metrics"):
            assert httpx2.get(running.address + path).status_code == 401
            assert httpx2.get(running.address + path, headers={"Authorization": "Bearer right"}).status_code == 200
        assert httpx2.get(running.address + "/healthz").status_code == 200
        assert httpx2.get(running.address + "/").status_code == 200
        wrong = openai.OpenAI(base_url=f"{running.address}/v1", api_key="wrong", max_retries=0)
        with pytest.raises(openai.AuthenticationError):
            wrong.chat.completions.create(model="model", messages=says(CARD))


def test_embedded_reader_answers_without_any_server(tmp_path: Path, text_encoder: TextEncoder) -> None:
    with endpoint(tmp_path, text_encoder) as running:
        client = openai.OpenAI(base_url=f"{running.address}/v1", api_key="x")
        answer = client.chat.completions.create(model="any", messages=says("my card was stolen"))
        assert answer.choices[0].message.content == "\\boxed{lost or stolen card}"
        assert client.models.list().data[0].id == "embedded-reader"
        metrics = httpx2.get(f"{running.address}/metrics").text
        assert 'dtl_requests_total{group="cases"} 1.0' in metrics


def test_bank_on_disk_keeps_what_is_learned_and_starts_another_endpoint(
    tmp_path: Path, text_encoder: TextEncoder, behind: StandIn
) -> None:
    bank = tmp_path / "bank.sqlite"
    for folder, questions in (("first", range(4)), ("first", range(4, 6)), ("second", range(6, 8))):
        with endpoint(tmp_path / folder, text_encoder, behind, bank=bank) as running:
            before = [case.task for case in running.service.learner.bank]
            assert before == [f"{CARD} {i}" for i in range(questions[0])]
            client = openai.OpenAI(base_url=f"{running.address}/v1", api_key="x")
            for i in questions:
                id = client.chat.completions.create(model="model", messages=says(f"{CARD} {i}")).id
                feed(running, id=id, reward=1)
    with Store.open(bank) as store:
        assert [entry.case.task for entry in store.entries()] == [f"{CARD} {i}" for i in range(8)]
        assert sum(entry.shown for entry in store.entries()) == 7


def test_cases_that_were_put_into_the_bank_on_disk_meanwhile_join_at_the_next_start(
    tmp_path: Path, text_encoder: TextEncoder, behind: StandIn
) -> None:
    bank, known = tmp_path / "bank.sqlite", []
    for start, theirs in enumerate(["an imported question", "another one", "an imported question"]):
        with Store.open(bank, text_encoder.identity, create=True) as store:
            store.add([Entry(Case(theirs, "card_arrival"))], text_encoder.encode([theirs]))
        known += [theirs] if theirs not in known else []
        with endpoint(tmp_path, text_encoder, behind, bank=bank) as running:
            assert [case.task for case in running.service.learner.bank] == known
            client = openai.OpenAI(base_url=f"{running.address}/v1", api_key="x")
            id = client.chat.completions.create(model="model", messages=says(f"{CARD} {start}")).id
            feed(running, id=id, reward=1)
            known.append(f"{CARD} {start}")
            nearest = running.service.nearest(theirs, 1)
            assert [case.task for case in nearest] == [theirs]


# -- restarts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bandit", ["Pretrained", "LinLogUCB", "NeuralLinLogUCB"])
def test_restart_goes_on_with_the_same_state(
    tmp_path: Path, text_encoder: TextEncoder, behind: StandIn, bandit: str
) -> None:
    states = []
    for stops in ((), (4,), (2, 7)):
        folder, asked = tmp_path / str(stops), 0
        for stop in (*stops, 10):
            with endpoint(folder, text_encoder, behind, bandit=bandit, batch_size=3) as running:
                client = openai.OpenAI(base_url=f"{running.address}/v1", api_key="x")
                for asked in range(asked, stop):
                    id = client.chat.completions.create(model="model", messages=says(f"{CARD} {asked}")).id
                    feed(running, id=id, reward=int(asked % 3 != 0))
                asked += 1
                learner = running.service.learner
                states.append((learner.learned, _scores(learner, text_encoder)))
    whole = states[0]
    assert states[2] == whole and states[-1] == whole


def test_what_a_start_learns_is_kept_before_it_answers(
    tmp_path: Path, text_encoder: TextEncoder, behind: StandIn
) -> None:
    """One that is killed again and again while it catches up would have ever more to learn."""
    with endpoint(tmp_path, text_encoder, behind) as running:
        client = openai.OpenAI(base_url=f"{running.address}/v1", api_key="x")
        feed(running, id=client.chat.completions.create(model="model", messages=says(CARD)).id, reward=1)
    (checkpoint,) = tmp_path.rglob("checkpoint")
    shutil.rmtree(checkpoint)
    with endpoint(tmp_path, text_encoder, behind, checkpoint_seconds=0) as running:
        assert running.service.learner.learned == 1 and (checkpoint / "endpoint.json").exists()


def _scores(learner: Any, encoder: TextEncoder) -> list[float]:
    retrieval = learner.agent.retrieval
    return retrieval.policy.score("how do I link it?", retrieval.bank.cases).total.tolist()  # type: ignore[no-any-return]
