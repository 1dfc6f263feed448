// An open JupyterLab -> a line at its top that asks the person to sign in again, with a link that opens a tab.
//
// Nothing on the page is touched: unsaved text stays where it is and can be saved once the person has signed in. JupyterLab loads
// this file as it is: at its end stands by hand what a bundler would write.
(() => {
  'use strict';

  const NAME = 'jupyter-k8s-sign-in-again';
  const CHANNEL = 'jupyter-k8s-session';
  // The person is warned when their session ends within this time.
  const WARNING_SECONDS = 10 * 60;
  // The end may move, because the person signed in again in another tab. It is no use of the workspace that keeps it from being idle.
  const LOOK_EVERY_MS = 60 * 1000;
  // A page whose address changes now and then is not asked more often than this, whatever fails.
  const LOOK_AT_MOST_EVERY_MS = 2 * 1000;

  /** What to say of a session that ends at `end` (Unix seconds; null: unknown) when it is `now`. */
  function judge(end, now) {
    if (typeof end !== 'number' || end - now > WARNING_SECONDS) {
      return null;
    }
    const time = new Date(end * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
    return `You will be signed out at ${time}. `;
  }

  /** Whether an answer is the gateway's word that the person is not signed in. */
  async function isSignedOut(response) {
    if (response.status !== 401) {
      return false;
    }
    try {
      return typeof (await response.clone().json()).loginUrl === 'string';
    } catch {
      return false;
    }
  }

  class Line {
    constructor(link) {
      this.link = link;
      this.node = null;
    }

    show(text) {
      if (!this.node) {
        this.node = document.createElement('div');
        this.node.id = NAME;
        this.node.setAttribute('role', 'alert');
        this.node.style.cssText =
          'position:fixed;top:0;left:50%;transform:translateX(-50%);z-index:100000;padding:6px 16px;border-radius:0 0 6px 6px;' +
          'background:#7a3b00;color:#fff;font:14px/1.5 system-ui,sans-serif;box-shadow:0 2px 8px rgba(0,0,0,.4)';
        const anchor = document.createElement('a');
        anchor.href = this.link;
        anchor.target = '_blank';
        anchor.rel = 'noopener';
        anchor.textContent = 'Sign in again';
        anchor.style.cssText = 'color:#fff;font-weight:bold;text-decoration:underline';
        this.node.append(document.createElement('span'), anchor, ' in another tab; nothing here is lost.');
        document.body.append(this.node);
      }
      this.node.firstChild.textContent = text;
    }

    hide() {
      this.node?.remove();
      this.node = null;
    }
  }

  /** Kernels and terminals whose connection was closed with the session are connected again. */
  function reconnect(app) {
    for (const widget of app.shell.widgets('main')) {
      const context = widget.sessionContext ?? widget.context?.sessionContext;
      for (const one of [context?.session?.kernel, widget.content?.session]) {
        if (one?.connectionStatus === 'disconnected' || one?.connectionStatus === 'connecting') {
          Promise.resolve(one.reconnect?.()).catch(() => undefined);
        }
      }
    }
  }

  function activate(app) {
    const settings = app.serviceManager.serverSettings;
    const base = new URL(settings.baseUrl, location.href);
    const done = new URL('jupyter-k8s/signed-in', base);
    const again = new URL('_workspace/sign-in', base);
    again.searchParams.set('to', done.pathname);
    const line = new Line(again.href);
    const request = settings.fetch ?? window.fetch.bind(window);
    let ended = false;
    let last = 0;

    const end = () => {
      ended = true;
      line.show('You are signed out. ');
    };
    const look = async () => {
      last = Date.now();
      let response;
      try {
        const url = new URL('jupyter-k8s/session?no_track_activity=1', base);
        response = await request(url.href, { cache: 'no-store', redirect: 'manual' });
      } catch {
        // No network: there is nothing to say about the session.
        return;
      }
      if (await isSignedOut(response)) {
        end();
        return;
      }
      if (!response.ok) {
        return;
      }
      const session = await response.json();
      const text = judge(session.end, Date.now() / 1000);
      if (ended) {
        ended = false;
        reconnect(app);
      }
      if (text) {
        line.show(text);
      } else {
        line.hide();
      }
    };
    const lookSoon = () => {
      if (!document.hidden && Date.now() - last > LOOK_AT_MOST_EVERY_MS) {
        void look();
      }
    };

    // Whatever JupyterLab asks for, saving above all, tells at once that the session is over.
    settings.fetch = async (...question) => {
      const response = await request(...question);
      if (await isSignedOut(response)) {
        end();
      }
      return response;
    };
    new BroadcastChannel(CHANNEL).onmessage = () => void look();
    window.addEventListener('focus', lookSoon);
    document.addEventListener('visibilitychange', lookSoon);
    window.setInterval(() => void look(), LOOK_EVERY_MS);
    void look();
  }

  const plugin = {
    id: `${NAME}:plugin`,
    description: 'Asks people to sign in again before their session ends.',
    autoStart: true,
    activate
  };
  const modules = { './extension': () => ({ __esModule: true, default: plugin }) };
  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB[NAME] = {
    init: () => undefined,
    get: async name => {
      if (!(name in modules)) {
        throw new Error(`${NAME} has no module ${name}`);
      }
      return modules[name];
    }
  };
})();
