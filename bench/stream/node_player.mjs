// webtorrent and peerflix as players see them: a file over HTTP, with each one's own defaults but for finding peers, which is
// left to the tracker. `node node_player.mjs webtorrent|peerflix FOLDER`; says JSON lines, hears `add SOURCE`.
import { readFile } from 'node:fs/promises'
import { createRequire, register } from 'node:module'
import { createInterface } from 'node:readline'

const [which, folder] = process.argv.slice(2)
const say = line => process.stdout.write(JSON.stringify(line) + '\n')
const source = async text => (text.startsWith('magnet:') ? text : readFile(text))
const version = name => createRequire(import.meta.url)(`./node_modules/${name}/package.json`).version

const players = {
  async webtorrent() {
    // Its WebRTC is native code that npm does not build here, and nobody in the swarm speaks it.
    register(
      'data:text/javascript,' +
        encodeURIComponent(`export const resolve = (name, context, next) => name === 'webrtc-polyfill'
          ? { url: 'data:text/javascript,export const RTCPeerConnection=null,RTCSessionDescription=null,RTCIceCandidate=null;export default {}', shortCircuit: true }
          : next(name, context)`)
    )
    const { default: WebTorrent } = await import('webtorrent')
    const client = new WebTorrent({ dht: false, lsd: false, utp: false, natUpnp: false, natPmp: false })
    client.on('error', error => say({ error: String(error) }))
    const { server } = client.createServer({}, 'node')
    await new Promise(done => server.listen(0, '127.0.0.1', done))
    return async text => {
      client.add(await source(text), { path: folder }, torrent =>
        say({ url: `http://127.0.0.1:${server.address().port}${torrent.files[0].streamURL}` }))
    }
  },
  async peerflix() {
    const { default: peerflix } = await import('peerflix')
    return async text => {
      // Metadata that it remembers of an earlier run would name a tracker that is gone: its own folder.
      const engine = peerflix(await source(text), { path: folder, tmp: folder, dht: false, hostname: '127.0.0.1' })
      engine.server.on('listening', () => say({ url: `http://127.0.0.1:${engine.server.address().port}/` }))
    }
  }
}

if (which === 'versions') {
  say({ webtorrent: version('webtorrent'), peerflix: version('peerflix') })
} else {
  const add = await players[which]()
  say({ ready: true })
  for await (const line of createInterface({ input: process.stdin })) await add(line.replace(/^add /, ''))
  process.exit(0)
}
