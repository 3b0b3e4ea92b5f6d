// Everything devicestate.js can do, once: a lamp, an app that wants it to shine, and a worker that
// reads the events. Takes the server at $REDIS_URL, else redis://127.0.0.1:6379. Exit status 0: all
// that is printed is as it has to be.
'use strict';

const { isDeepStrictEqual } = require('node:util');
const Redis = require('ioredis');
const { Devices } = require('./devicestate');

const LAMP = 'demo-js-lamp';
const [GROUP, CONSUMER] = ['demo-js', 'worker-1'];

async function main(redis) {
  const devices = new Devices(redis);
  await redis.call('DEVICE.REMOVE', LAMP); // what an earlier run left

  const isNew = await devices.register(LAMP, 'lamp', { room: 'hall' });
  expect(isNew, 'register: the lamp is new');

  const stop = new AbortController();
  const lamp = beALamp(devices, stop.signal);
  const hearing = new AbortController();
  const changes = await devices.presence(hearing.signal);
  const mine = (change) => change.device_id === LAMP;

  const first = await next(lamp);
  expect(first.cameOnline && first.applied, `heartbeat: online, version ${first.version}`);
  let change = await next(changes, mine);
  expect(change.status === 'online', `presence: online, ${change.reason}`);

  const wanted = { level: 80, power: 'on' };
  const { delta } = await devices.desired(LAMP, wanted);
  expect(isDeepStrictEqual(delta, wanted), `desired: to do ${JSON.stringify(delta)}`);
  const differs = (await devices.delta(LAMP)).delta.power;
  expect(
    isDeepStrictEqual(differs, { desired: 'on', reported: 'off' }),
    `delta: power ${JSON.stringify(differs)}`,
  );
  const told = (await next(lamp)).delta;
  expect(isDeepStrictEqual(told, wanted), `heartbeat: to do ${JSON.stringify(told)}`);
  expect((await next(lamp)).delta === null, 'heartbeat: done');

  stop.abort();
  expect((await lamp.next()).done, 'heartbeats: stopped');
  expect(await devices.offline(LAMP, 'switched off'), 'offline: said');
  change = await next(changes, mine);
  expect(change.status === 'offline', `presence: offline, ${change.reason}`);
  hearing.abort();

  // A gateway tells something about the lamp; that does not bring it online.
  const report = await devices.report(LAMP, { signal: -61 });
  expect(report.delta === null, `report: version ${report.version}`);
  const { state } = await devices.shadow(LAMP);
  expect(
    isDeepStrictEqual(state, { desired: wanted, reported: { ...wanted, signal: -61 } }),
    `shadow: ${JSON.stringify(state)}`,
  );
  const refused = await devices.desired(LAMP, { level: 10 }, report.version - 1).catch((e) => e);
  expect(
    refused instanceof Redis.ReplyError && refused.message.startsWith('VERSIONCONFLICT '),
    `refused: ${refused.message}`,
  );

  await readEvents(devices);
}

/** The device's side: it beats, and does what the replies say. */
async function* beALamp(devices, signal) {
  const state = { power: 'off' };
  const options = { every: 10, signal, timeout: 60_000 };
  for await (const beat of devices.heartbeats(LAMP, () => state, options)) {
    Object.assign(state, beat.delta);
    yield beat;
  }
}

/** The worker's side: it dies over an event that it has not handled yet, and comes back. */
async function readEvents(devices) {
  const stop = new AbortController();
  let diedOver;
  for await (const [id] of devices.events(GROUP, CONSUMER, stop.signal)) {
    diedOver = id;
    break;
  }
  for await (const [id, event] of devices.events(GROUP, CONSUMER, stop.signal)) {
    if (diedOver) expect(id === diedOver, 'event: comes again after a crash');
    diedOver = undefined;
    if (event.device_id !== LAMP) continue;
    const about = event.reason ?? event.delta ?? event.device_type;
    console.log(`event: ${event.type}, ${about}`);
    if (about === 'switched off') stop.abort();
  }
  console.log('all seen');
}

/** The next value that is as wanted. */
async function next(values, isWanted = () => true) {
  for (;;) {
    const { value, done } = await values.next();
    if (done) throw new Error('it ended before what was wanted came');
    if (isWanted(value)) return value;
  }
}

/** Prints what was seen; ends the demo if it is not as it has to be. */
function expect(holds, line) {
  if (!holds) throw new Error(`not as expected: ${line}`);
  console.log(line);
}

/** Ends the demo, whatever is still open. */
function end(status, error) {
  if (error) console.error(error);
  process.exit(status);
}

setTimeout(end, 25_000, 1, 'what was expected next did not come within 25 s');
const redis = new Redis(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379');
redis.on('error', (error) => end(1, error));
main(redis).then(() => end(0), (error) => end(1, error));
