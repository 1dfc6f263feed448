# Login shells (JupyterLab's terminals) reset PATH in /etc/profile: put back what the image sets.
PATH="${HOME}/.local/bin:/opt/jupyter/bin:${PATH}"
