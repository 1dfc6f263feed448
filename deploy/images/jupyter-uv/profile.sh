# /etc/profile resets PATH: login shells keep the one that they began with, of the image, a template or the user.
_path=$(sed -zn 's/^PATH=//p' "/proc/$$/environ" 2>/dev/null | tr -d '\0')
[ -z "$_path" ] || PATH=$_path
unset _path
# Like other shells, they read ~/.bashrc, unless their user has a file for login shells.
case "${BASH-}:$-" in
?*:*i*) [ -e ~/.bash_profile ] || [ -e ~/.bash_login ] || [ -e ~/.profile ] || [ ! -e ~/.bashrc ] || . ~/.bashrc ;;
esac
