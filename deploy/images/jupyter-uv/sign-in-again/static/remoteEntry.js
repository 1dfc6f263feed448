// An open JupyterLab -> a banner that says why the workspace cannot be used (or not for long), with a link that opens a tab:
// to sign in again, or to the page of a workspace that does not run or that the user may no longer open. And notifications: that memory
// ran out, and ten minutes before a rule stops the workspace, with a button that opens its page in the portal.
//
// Nothing on the page changes: unsaved text stays and can be saved once the workspace answers again. JupyterLab loads this file unchanged.
// Its end contains, written by hand, what a bundler would generate.
(() => {
  'use strict';

  const NAME = 'jupyter-k8s-sign-in-again';
  const CHANNEL = 'jupyter-k8s-session';
  const OPEN_PAGE = `${NAME}:open-page`;
  // The user is warned when the session or the run ends within this time.
  const WARNING_SECONDS = 10 * 60;
  // The end may move, because the user signed in again in another tab. This request does not count as activity of the workspace.
  const LOOK_EVERY_MS = 60 * 1000;
  // Minimum interval between these requests, even if they fail or the page's address changes often.
  const LOOK_AT_MOST_EVERY_MS = 2 * 1000;
  // What ran out of memory longer ago is no news to a page that is opened now.
  const NEWS_MS = 10 * 60 * 1000;

  /** What to say of a session that ends at `end` (Unix seconds; null: unknown) when it is `now`. */
  function judge(end, now) {
    if (typeof end !== 'number' || end - now > WARNING_SECONDS) {
      return null;
    }
    const time = new Date(end * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
    return `You will be signed out at ${time}.`;
  }

  /** What to say of a state of the door, beyond what was said of the time `told`. */
  function judgeMemory(state, told, now) {
    const time = Date.parse(state.outOfMemory ?? '');
    if (!(time > told && now - time < NEWS_MS)) {
      return null;
    }
    const limit = state.memoryLimitBytes;
    const size = limit ? `: the limit is ${(limit / 2 ** 30).toFixed(1).replace(/\.0$/, '')} GiB` : '';
    // JupyterLab shows 140 characters.
    const text = `A process was ended, because memory ran out${size}. Raise the workspace's memory, then restart it.`;
    return { time, text };
  }

  /** Rule that stops a workspace -> what follows the time. */
  const STOPS = {
    Idle: ', unless it is used or kept.',
    MaxAge: ': it reaches its maximum age.'
  };

  /** What to say of the stop that a state of the door announces (null: nothing). `key`: it is the same one. */
  function judgeStop(state, now) {
    const at = Date.parse(state.stopsAt ?? '');
    if (!(at > now && at - now <= WARNING_SECONDS * 1000)) {
      return null;
    }
    const time = new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
    const why = STOPS[state.stopsBecause] ?? '.';
    const files = state.losesFiles ? ' Files are lost then: see more.' : '';
    // JupyterLab shows 140 characters.
    return { key: `${state.stopsAt} ${state.stopsBecause} ${state.losesFiles}`, text: `This workspace stops at ${time}${why}${files}` };
  }

  /** The time of the server that answered, in milliseconds: the clock of the user's machine may be wrong. */
  function timeOf(response, own) {
    const time = Date.parse(response.headers.get('Date') ?? '');
    return Number.isNaN(time) ? own : time;
  }

  /** Statuses of the gateway's own answers, and its error codes for them. */
  const REFUSALS = { 401: 'SignInRequired', 403: 'NoAccess', 503: 'WorkspaceNotReady' };

  /** The gateway's error answer (null: no error, or an answer of another server). */
  async function refusal(response) {
    const error = REFUSALS[response.status];
    if (!error) {
      return null;
    }
    try {
      const said = await response.clone().json();
      return said.error === error && typeof said.requestId === 'string' ? said : null;
    } catch {
      return null;
    }
  }

  class Line {
    constructor() {
      this.node = null;
    }

    /** Shows a text and a link that opens a tab. */
    show(text, href, action, after) {
      if (!this.node) {
        this.node = document.createElement('div');
        this.node.id = NAME;
        this.node.setAttribute('role', 'alert');
        this.node.style.cssText =
          'position:fixed;top:0;left:50%;transform:translateX(-50%);z-index:100000;padding:6px 16px;border-radius:0 0 6px 6px;' +
          'background:#7a3b00;color:#fff;font:14px/1.5 system-ui,sans-serif;box-shadow:0 2px 8px rgba(0,0,0,.4)';
        const anchor = document.createElement('a');
        anchor.target = '_blank';
        anchor.rel = 'noopener';
        anchor.style.cssText = 'color:#fff;font-weight:bold;text-decoration:underline';
        this.node.append(document.createElement('span'), anchor, document.createElement('span'));
        document.body.append(this.node);
      }
      const [before, anchor, rest] = this.node.childNodes;
      before.textContent = `${text} `;
      anchor.href = href;
      anchor.textContent = action;
      rest.textContent = ` ${after}`;
    }

    hide() {
      this.node?.remove();
      this.node = null;
    }
  }

  /** Kernels and terminals whose connection was closed meanwhile are connected again. */
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
    const line = new Line();
    const request = settings.fetch ?? window.fetch.bind(window);
    let refused = false;
    let last = 0;
    let told = 0;
    let stop = null;

    app.commands.addCommand(OPEN_PAGE, {
      label: "Open the workspace's page in the portal",
      execute: () => void window.open(new URL('_workspace/portal', base).href, '_blank', 'noopener')
    });
    const askToSignIn = text => line.show(text, again.href, 'Sign in again', 'in another tab; nothing here is lost.');
    const tell = said => {
      refused = true;
      if (said.error === 'SignInRequired') {
        askToSignIn('You are signed out.');
        return;
      }
      const text =
        said.error === 'NoAccess'
          ? 'This workspace is gone, or you may not open it any more.'
          : `${said.title ?? said.message ?? 'This workspace does not run'}.`.replace(/\.\.$/, '.') +
            (typeof said.files === 'string' ? ` ${said.files}` : '');
      line.show(text, base.href, 'See more', 'in another tab; what is not saved stays in this one.');
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
      const said = await refusal(response);
      if (said) {
        tell(said);
        return;
      }
      if (!response.ok) {
        return;
      }
      const session = await response.json();
      const text = judge(session.end, Date.now() / 1000);
      if (refused) {
        refused = false;
        reconnect(app);
      }
      if (text) {
        askToSignIn(text);
      } else {
        line.hide();
      }
    };
    /** Shows a notification that stays, and returns what names it. */
    const notify = (message, actions) =>
      app.commands.execute('apputils:notify', { message, type: 'warning', options: { autoClose: false, actions } });
    const tellOfStop = async next => {
      if (next?.key === stop?.key) {
        return;
      }
      const before = stop;
      stop = next;
      if (before?.id) {
        await app.commands.execute('apputils:dismiss-notification', { id: before.id });
      }
      if (next) {
        next.id = await notify(next.text, [{ label: 'See more', commandId: OPEN_PAGE, displayType: 'accent' }]);
      }
    };
    const lookAtDoor = async () => {
      let state, answered, now;
      try {
        const url = new URL('jupyter-k8s/activity', base);
        const response = await request(url.href, { cache: 'no-store', redirect: 'manual' });
        if (!response.ok) {
          return;
        }
        // JupyterLab may take a while to be restored.
        answered = performance.now();
        now = timeOf(response, Date.now());
        state = await response.json();
      } catch {
        // No network, or no door.
        return;
      }
      // Until then nobody may take notifications.
      await app.restored;
      now += performance.now() - answered;
      const news = judgeMemory(state, told, now);
      if (news) {
        told = news.time;
        await notify(news.text, []);
      }
      await tellOfStop(judgeStop(state, now));
    };
    const lookSoon = () => {
      if (!document.hidden && Date.now() - last > LOOK_AT_MOST_EVERY_MS) {
        void look();
      }
    };

    // Each request of JupyterLab, saving above all, shows at once whether the workspace can be reached.
    settings.fetch = async (...question) => {
      const response = await request(...question);
      const said = await refusal(response);
      if (said) {
        tell(said);
      } else if (refused && response.ok) {
        lookSoon();
      }
      return response;
    };
    new BroadcastChannel(CHANNEL).onmessage = () => void look();
    window.addEventListener('focus', lookSoon);
    document.addEventListener('visibilitychange', lookSoon);
    const lookAtAll = () => {
      void look();
      void lookAtDoor();
    };
    window.setInterval(lookAtAll, LOOK_EVERY_MS);
    lookAtAll();
  }

  const plugin = {
    id: `${NAME}:plugin`,
    description: 'Says why an open page cannot be worked with: the session ends, the workspace stops, or access is taken away.',
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
