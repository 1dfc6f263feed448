"""A server's life over the API server in memory, with JupyterHub's own users (no cluster)."""

from hub import Case


class Life(Case):
    async def test_a_server_starts_stops_and_starts_again_with_one_write_each(self):
        spawner = await self.spawn()
        self.assertEqual(spawner.server.url, f"http://127.0.0.1:{self.ports[0]}/user/alice/")
        raw = self.api.objects["alice"]
        self.assertEqual(raw["spec"]["templateRef"], "lab")
        self.assertIsNone(await spawner.poll())
        first = spawner.run_id
        await self.user().stop("")
        self.assertEqual(raw["spec"]["desiredStatus"], "Stopped")
        spawner = await self.spawn()
        self.assertNotEqual(spawner.run_id, first)
        self.assertEqual([item[0] for item in self.api.writes()], ["POST", "PATCH", "PATCH"])


if __name__ == "__main__":
    import unittest

    unittest.main()
