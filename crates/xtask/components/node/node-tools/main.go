// Command node-tools is the two small programs that the local node's own pods run.
//
// Without arguments it is a pod sandbox's first process: it holds the pod's namespaces and reaps orphans until it is
// told to end. With the arguments of local-path-provisioner (-a create|delete -p FOLDER -s BYTES -m MODE) it makes or
// removes a volume's folder.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if len(os.Args) == 1 {
		pause()
		return
	}
	action := flag.String("a", "", "create or delete")
	folder := flag.String("p", "", "the volume's folder")
	flag.String("s", "", "size in bytes; not enforced")
	flag.String("m", "", "volume mode; only file systems are offered")
	flag.Parse()
	if err := volume(*action, *folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func pause() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for s := range signals {
		if s != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}

func volume(action, folder string) error {
	if folder == "" {
		return fmt.Errorf("-p names no folder")
	}
	switch action {
	case "create":
		if err := os.MkdirAll(folder, 0o777); err != nil {
			return err
		}
		// Pods write as any user; MkdirAll's mode is cut by the umask.
		return os.Chmod(folder, 0o777)
	case "delete":
		return os.RemoveAll(folder)
	}
	return fmt.Errorf("-a must be create or delete, not %q", action)
}
