'use strict';
(() => {
  const live = document.getElementById('live');
  const template = document.createElement('template');
  let ended = false;

  // Makes a node like another, and leaves what is the same as it is: what a person has marked or
  // opened stays so.
  function patch(node, to) {
    if (node.nodeType !== to.nodeType || node.nodeName !== to.nodeName || node.id !== to.id) {
      node.replaceWith(to);
      return;
    }
    if (node.nodeType === Node.TEXT_NODE) {
      if (node.data !== to.data) node.data = to.data;
      return;
    }
    for (const {name} of [...node.attributes]) {
      if (name !== 'open' && !to.hasAttribute(name)) node.removeAttribute(name);
    }
    for (const {name, value} of to.attributes) {
      if (node.getAttribute(name) !== value) node.setAttribute(name, value);
    }
    const children = [...node.childNodes];
    [...to.childNodes].forEach((child, i) => {
      if (i < children.length) patch(children[i], child);
      else node.append(child);
    });
    for (const child of children.slice(to.childNodes.length)) child.remove();
  }

  function say(text) {
    live.hidden = text === '';
    if (live.textContent !== text) live.textContent = text;
  }

  function connect() {
    const events = new EventSource('events?page');
    events.onmessage = ({data}) => {
      template.innerHTML = data;
      const to = template.content.firstElementChild;
      document.title = to.dataset.title;
      ended = 'ended' in to.dataset;
      patch(document.getElementById('board'), to);
      if (ended) events.close();
      say('');
    };
    events.onerror = () => {
      if (ended) return;
      say('No news: the program has ended or cannot be reached. This is the last that is known.');
      // A connection that is lost is made again by itself, but not after an answer that refuses it.
      if (events.readyState === EventSource.CLOSED) setTimeout(connect, 10000);
    };
  }
  if (!('ended' in document.getElementById('board').dataset)) connect();
})();
