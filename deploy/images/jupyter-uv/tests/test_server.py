"""A Jupyter server with the image's own settings: whom it knows, and what a user's page may do."""

import json
import pathlib
import subprocess
import sys
import unittest

from jupyter_k8s_workspace import identity
from jupyter_k8s_workspace.identity import HEADER
from running import Running, assertion
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

OPERATOR = "jupyter-k8s-operator"


class Server(Running):
    async def test_a_request_past_the_door_has_no_user(self):
        good = assertion()
        for assertions in [(), (good, good), ("",), ("a.b.c",), ("..",), (assertion(sub=""),), (assertion(sub=7),), ("e30.W10.e30",)]:
            for path in ["/api/me", "/api/status", "/api/contents", "/jupyter-k8s/session"]:
                with self.subTest((path, assertions)):
                    self.assertEqual((await self.ask(path, assertions)).code, 401)
        self.assertEqual((await self.ask("/api/me", [good], **{"Sec-Fetch-Site": "same-origin"})).code, 200)

    async def test_the_person_is_the_one_whom_the_gateway_names(self):
        token = assertion(sub="alice.smith", session_end=1)
        answer = await self.ask("/api/me", [token])
        identity = json.loads(answer.body)["identity"]
        shown = (identity["username"], identity["display_name"], identity["initials"])
        self.assertEqual((answer.code, shown), (200, ("alice.smith", "alice.smith", "AS")))
        session = json.loads((await self.ask("/jupyter-k8s/session", [token])).body)
        self.assertEqual(session, {"user": "alice.smith", "end": 1})
        self.assertEqual((await self.ask("/jupyter-k8s/signed-in", [token])).code, 200)

    async def test_a_server_on_a_port_without_the_door_knows_nobody(self):
        token = assertion()
        self.assertEqual((await self.ask("/api/me", [token])).code, 200)
        self.app.sock = ""
        self.app.log.setLevel("CRITICAL")
        self.assertEqual((await self.ask("/api/me", [token])).code, 401)

    async def test_a_start_compiles_no_grammar(self):
        # lark does so at each import, for longer than the rest of a start takes (../requirements.in).
        loaded = "import sys, jupyterlab.labapp; print('jsonschema' in sys.modules, 'lark' in sys.modules)"
        printed = subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True, text=True).stdout
        self.assertEqual(printed, "True False\n")

    async def test_a_change_still_needs_jupyters_own_proof_against_forgery(self):
        token = assertion()
        answer = await self.ask("/api/contents", [token], method="POST", body="{}")
        self.assertEqual(answer.code, 403)

    async def test_who_sends_a_token_needs_no_proof_against_forgery_and_nobody_else_goes_without(self):
        script = assertion(bearer=True)
        made = await self.ask("/api/contents", [script], method="POST", body='{"type": "file", "ext": ".txt"}')
        self.assertEqual(made.code, 201, made.body)
        path = json.loads(made.body)["path"]
        self.assertEqual((await self.ask(f"/files/{path}", [script])).code, 200)
        self.assertEqual((await self.ask(f"/api/contents/{path}", [script], method="DELETE")).code, 204)
        # One truth and no other, of the gateway, and at once: nothing is remembered of who asked before.
        for claim in [None, False, "true", 1, [True], {"bearer": True}]:
            page = assertion(bearer=claim)
            with self.subTest(claim):
                answer = await self.ask("/api/contents", [page], method="POST", body="{}")
                self.assertEqual(answer.code, 403)
        operator = assertion(iss=OPERATOR, sub=OPERATOR, bearer=True)
        self.assertEqual((await self.ask("/api/contents", [operator], method="POST", body="{}")).code, 403)

    async def test_a_folder_with_files_can_be_deleted(self):
        inner = pathlib.Path(self.home, "folder/inner")
        inner.mkdir(parents=True)
        (inner / "file.txt").write_text("x")
        answer = await self.ask("/api/contents/folder", [assertion(bearer=True)], method="DELETE")
        self.assertEqual(answer.code, 204, answer.body)
        self.assertFalse(inner.parent.exists())

    async def test_a_cookie_that_a_sibling_host_wrote_keeps_no_page_of_its_own_from_saving(self):
        person = assertion()
        tossed = "_xsrf=2|own; _xsrf=2|00000000|00000000000000000000000000000000|1760000000"
        page = {"Cookie": tossed, "X-XSRFToken": "2|own"}

        async def save(**headers):
            return (await self.ask("/api/contents", [person], method="POST", body="{}", **page, **headers)).code

        self.assertEqual(await save(**{"Sec-Fetch-Site": "same-origin"}), 201)
        self.assertEqual(await save(), 403)
        for site in ["same-site", "cross-site", "none", "", "same-origin, same-origin", "Same-Origin"]:
            with self.subTest(site):
                self.assertEqual(await save(**{"Sec-Fetch-Site": site}), 403)

    async def test_no_page_of_another_origin_may_read_what_a_token_got(self):
        script = assertion(bearer=True)
        made = await self.ask("/api/contents", [script], method="POST", body='{"type": "file", "ext": ".txt"}')
        foreign = {"Origin": "https://evil.example"}
        for path, code in [("/api/me", 404), ("/files/" + json.loads(made.body)["path"], 200), ("/lab", 200)]:
            answer = await self.ask(path, [script], **foreign)
            with self.subTest(path):
                self.assertEqual(answer.code, code)
                self.assertNotIn("Access-Control-Allow-Origin", answer.headers)

    async def test_a_token_in_the_hands_of_a_foreign_page_opens_no_websocket(self):
        script = assertion(bearer=True)
        made = await self.ask("/api/kernels", [script], method="POST", body="{}")
        self.assertEqual(made.code, 201, made.body)
        channels = f"ws://127.0.0.1:{self.port}/api/kernels/{json.loads(made.body)['id']}/channels"
        request = HTTPRequest(channels, headers={HEADER: script})
        (await websocket_connect(request)).close()
        foreign = HTTPRequest(channels, headers={HEADER: script, "Origin": "https://evil.example"})
        with self.assertRaises(Exception) as caught:
            await websocket_connect(foreign)
        self.assertEqual(getattr(caught.exception, "code", None), 403)

    async def test_the_operator_reads_whether_the_workspace_is_used(self):
        token = assertion(iss=OPERATOR, sub=OPERATOR)
        for path in ["/api/status?no_track_activity=1", "/api/kernels?no_track_activity=1"]:
            self.assertEqual((await self.ask(path, [token])).code, 200, path)


class Names(unittest.TestCase):
    def test_people_are_shown_by_a_name_and_initials(self):
        for user_name, shown, letters in [
            ("alice", "alice", "A"),
            ("https://id.example/realm#alice.smith", "alice.smith", "AS"),
            ("bob.m.jones@example.org", "bob.m.jones", "BJ"),
            ("oidc:carol", "carol", "C"),
            ("system:serviceaccount:team:robot-two", "robot-two", "RT"),
            ("#", "#", "#"),
            ("…", "…", "…"),
        ]:
            with self.subTest(user_name):
                self.assertEqual(identity.display_name(user_name), shown)
                self.assertEqual(identity.initials(shown), letters)


if __name__ == "__main__":
    unittest.main()
