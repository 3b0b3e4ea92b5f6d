// devicestate from Node.js: a thin layer over ioredis 5. Copy it and make it yours.
'use strict';

const { on } = require('node:events');
const { setTimeout: sleep } = require('node:timers/promises');

const EVENTS = 'devices:events';

/** One method for each command. What the server refuses is thrown as a ReplyError of ioredis. */
class Devices {
  /** @param {import('ioredis').Redis} redis */
  constructor(redis) {
    this.redis = redis;
  }

  /** True if the device is new. */
  async register(device, type, meta) {
    return !!(await this.#call(['DEVICE.REGISTER', device, type], { META: meta }));
  }

  /**
   * Proves that the device is alive, and merges what it reports. The timeout is in ms.
   * @returns {Promise<{ cameOnline: boolean, applied: boolean, version: number,
   *   delta: object | null, commands: number }>}
   */
  async heartbeat(device, { reported, timeout, session, seq } = {}) {
    const options = { REPORTED: reported, TIMEOUT: timeout, SESSION: session, SEQ: seq };
    const reply = await this.#call(['DEVICE.HEARTBEAT', device], options);
    const [came, applied, version, delta, commands] = reply;
    return { cameOnline: !!came, applied: !!applied, version, delta: JSON.parse(delta), commands };
  }

  /** Reports what read() gives, every so many ms, until the signal is aborted. */
  async *heartbeats(device, read, { every, signal, ...options }) {
    const session = Date.now();
    for (let seq = 1; !signal.aborted; seq += 1) {
      yield await this.heartbeat(device, { reported: read(), session, seq, ...options });
      await sleep(every, null, { signal }).catch(() => {}); // aborted
    }
  }

  /** Says goodbye. False if the device was offline already, or has a newer session. */
  async offline(device, reason, session) {
    return !!(await this.#call(['DEVICE.OFFLINE', device], { REASON: reason, SESSION: session }));
  }

  /** Merges into what the device shall be; with ifVersion only into that version. */
  async desired(device, patch, ifVersion) {
    const words = ['DEVICE.SHADOW.SET', device, patch];
    const [version, delta] = await this.#call(words, { VERSION: ifVersion });
    return { version, delta: JSON.parse(delta) }; // null stays null
  }

  /** Merges into what the device is, from a source that proves no life. */
  async report(device, patch, ifVersion) {
    const words = ['DEVICE.SHADOW.REPORT', device, patch];
    const [, version, delta] = await this.#call(words, { VERSION: ifVersion });
    return { version, delta: JSON.parse(delta) };
  }

  /** What the device shall be, what it is, and what is to do; null if there is no shadow. */
  async shadow(device) {
    return JSON.parse(await this.#call(['DEVICE.SHADOW.GET', device]));
  }

  /** Whether the device is in sync, and both sides of what differs. */
  async delta(device) {
    return JSON.parse(await this.#call(['DEVICE.DELTA', device]));
  }

  /** Who goes online or offline, from the moment on when this promise is kept. */
  async presence(signal) {
    const subscriber = this.redis.duplicate(); // who subscribes can do nothing else
    signal.addEventListener('abort', () => subscriber.disconnect());
    const messages = on(subscriber, 'message');
    subscriber.once('end', () => messages.return());
    await subscriber.subscribe('devices:presence');
    return (async function* () {
      for await (const [, text] of messages) yield JSON.parse(text);
    })();
  }

  /**
   * Events with their ids, each for one consumer of the group. An event is acknowledged when the
   * next one is asked for. One that was not, because its consumer died, comes again to it.
   */
  async *events(group, consumer, signal) {
    const reader = this.redis.duplicate(); // who waits would keep other commands waiting
    const read = async (from) => {
      const what = ['GROUP', group, consumer, 'COUNT', 100, 'BLOCK', 2000, 'STREAMS', EVENTS, from];
      return (await reader.xreadgroup(...what))?.[0][1] ?? [];
    };
    try {
      await reader.xgroup('CREATE', EVENTS, group, '0', 'MKSTREAM').catch((error) => {
        if (!error.message.startsWith('BUSYGROUP')) throw error; // the group is there
      });
      while (!signal.aborted) {
        const own = await read('0'); // first what the consumer has already, then what is new
        for (const [id, fields] of own.length ? own : await read('>')) {
          if (fields) yield [id, object(fields)]; // not trimmed meanwhile
          await reader.xack(EVENTS, group, id);
          if (signal.aborted) return;
        }
      }
    } finally {
      reader.disconnect();
    }
  }

  #call(words, options = {}) {
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    const text = (word) => (typeof word === 'object' ? JSON.stringify(word) : word);
    return this.redis.call(...[...words, ...given.flat()].map(text));
  }
}

/** The flat fields of an entry as an object. */
function object(fields) {
  const event = {};
  for (let i = 0; i < fields.length; i += 2) event[fields[i]] = fields[i + 1];
  return event;
}

module.exports = { Devices };
