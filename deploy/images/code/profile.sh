# Login shells reset PATH in /etc/profile: put back what the image sets.
PATH="${PATH}:/opt/code-server/bin:/opt/node/bin"
