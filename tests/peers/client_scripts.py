"""What programs that others wrote for Moonraker and OctoPrint do with us. Each script runs in the clients' environment.

A script gets the service's port as its argument and prints one JSON value at its end.
"""

MOONRAKER_API = """
import asyncio, json, sys
from moonraker_api import ClientNotAuthenticatedError, MoonrakerClient, MoonrakerListener

class Listener(MoonrakerListener):
    def __init__(self):
        self.states, self.heard = [], set()
    async def state_changed(self, state):
        self.states.append(state)
    async def on_notification(self, method, data):
        self.heard.add(method)

async def main():
    listener = Listener()
    client = MoonrakerClient(listener, "127.0.0.1", int(sys.argv[1]))
    assert await client.connect()
    told = {
        "klippy": await client.get_klipper_status(),
        "host": (await client.get_host_info())["state"],
        "modules": "toolhead" in await client.get_supported_modules(),
        "server": (await client.get_server_info())["klippy_state"],
        "files": await client.call_method("server.files.list"),
    }
    await client.call_method("printer.objects.subscribe", objects={"toolhead": None})
    for _ in range(100):
        if "notify_proc_stat_update" in listener.heard:
            break
        await asyncio.sleep(0.1)
    told["heard"] = "notify_proc_stat_update" in listener.heard
    await client.disconnect()
    told["states"] = listener.states
    print(json.dumps(told))

asyncio.run(main())
"""

OCTOREST = """
import json, os, sys, tempfile, time
import octorest

client = octorest.OctoRest(url=f"http://127.0.0.1:{sys.argv[1]}", apikey="88888888")
told = {"version": client.get_version()["api"], "state": client.state()}
told["tools"] = sorted(client.tool())
client.settings(), client.files(), client.job_info(), client.connection_info(), client.printer_profiles()
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "octo.gcode")
    with open(path, "w") as file:
        file.write("M118 octorest\\n")
    client.upload(path)
told["size"] = client.files_info("local", "octo.gcode")["size"]
client.gcode("M117 hello")
client.select("octo.gcode", print=True)
for _ in range(200):
    if client.job_info()["progress"]["completion"] == 100.0 or client.state() == "Operational":
        break
    time.sleep(0.1)
client.delete("octo.gcode")
told["left"] = [file["name"] for file in client.files()["files"]]
print(json.dumps(told))
"""

PYOCTOPRINTAPI = """
import asyncio, json, sys
import aiohttp
from pyoctoprintapi import OctoprintClient

async def main():
    async with aiohttp.ClientSession() as session:
        client = OctoprintClient("127.0.0.1", session, int(sys.argv[1]), False, "/")
        client.set_api_key("88888888")
        printer = await client.get_printer_info()
        told = {
            "operational": printer.state.flags.operational,
            "temperatures": sorted(each.name for each in printer.temperatures),
            "job": (await client.get_job_info()).state,
            "api": (await client.get_server_info()).version,
            "upnp": bool((await client.get_discovery_info()).upnp_uuid),
        }
        await client.get_webcam_info()
        print(json.dumps(told))

asyncio.run(main())
"""

MOONRAKERPY = """
import json, sys
from moonrakerpy import MoonrakerPrinter

printer = MoonrakerPrinter(f"http://127.0.0.1:{sys.argv[1]}")
told = {"sent": printer.send_gcode("M118 hello"), "sensors": sorted(printer.list_temp_sensors())}
told["gcode"] = "hello" in "".join(printer.get_gcode())
told["homed"] = "homed_axes" in printer.query_status("toolhead")
told["temperatures"] = "temperature" in printer.query_temperatures()["extruder"]
print(json.dumps(told))
"""

MOONRAKER_CLIENT = """
import asyncio, json, sys
from moonraker_client import AsyncMoonrakerClient, MoonrakerAPIError, MoonrakerClient, helpers

url = f"http://127.0.0.1:{sys.argv[1]}"
with MoonrakerClient(url) as client:
    told = {
        "version": helpers.check_server_version(client)[0],
        "printing": helpers.is_printing(client),
        "heaters": sorted(helpers.get_temperatures(client)),
    }

async def main():
    async with AsyncMoonrakerClient(url) as client:
        await client.connect_websocket()
        await client.identify("test", "1.0", "other", "http://test")
        told["subscribed"] = sorted((await client.subscribe_objects({"toolhead": None}))["status"])
        told["info"] = (await client.send_jsonrpc("server.info"))["klippy_state"]
        await client.disconnect_websocket()

asyncio.run(main())
print(json.dumps(told))
"""
