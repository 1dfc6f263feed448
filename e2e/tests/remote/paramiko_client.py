"""Configuration, host, password and kind of host key -> what a client that is not OpenSSH prints there; code 3: refused (IO)."""

import sys

import paramiko

path, host, password, kind = sys.argv[1:]
options = paramiko.SSHConfig.from_path(path).lookup(host)
client = paramiko.SSHClient()
# The tunnel has proved which workspace answers.
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
others = [name for name in paramiko.Transport._preferred_keys if not name.startswith(kind)]
try:
    client.connect(
        host,
        username=options["user"],
        password=password,
        sock=paramiko.ProxyCommand(options["proxycommand"]),
        allow_agent=False,
        look_for_keys=False,
        disabled_algorithms={"keys": others},
    )
except paramiko.AuthenticationException as error:
    print(error, file=sys.stderr)
    sys.exit(3)
print(client.get_transport().host_key.get_name(), client.exec_command("id -un")[1].read().decode(), end="")
client.close()
