# sshd's settings hold no variables with line ends, and not more than a thousand. A session's first shell takes those that it lacks from the
# container's first process.
if [ -n "${SSH_CONNECTION-}" ] && [ "${SHLVL-}" = 1 ]; then
  while IFS= read -r -d '' _variable; do
    case ${_variable%%=*} in '' | [0-9]* | *[!A-Za-z0-9_]* | _ | OLDPWD | TERM) continue ;; esac
    [ -v "${_variable%%=*}" ] || export "$_variable"
  done 2>/dev/null </proc/1/environ
  unset _variable
fi
