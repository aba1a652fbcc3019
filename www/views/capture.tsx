import { useEffect, useRef, useState } from 'preact/hooks';
import type { Id } from '../app/state';
import { texts } from '../texts';
import { useActions } from './app';
import { type Camera, drawFrame, frameBlob, useCamera } from './camera';
import { Button } from './controls';
import { Icon } from './icons';

/** Between two photos of a burst: near enough to be quick, far enough apart to differ. */
const between = 130;

/** Takes photos for as long as its button is held; they are added together when it is let go. */
export function Capture({ classId, onClose }: { classId: Id; onClose: () => void }) {
  const actions = useActions();
  const camera = useCamera(onClose);
  const canvas = useRef(document.createElement('canvas'));
  const [taken, setTaken] = useState(0);
  const [holding, setHolding] = useState(false);
  const photos = useRef<File[]>([]);

  const give = () => {
    const burst = photos.current;
    photos.current = [];
    if (burst.length) void actions.addPhotos(classId, burst);
  };
  useEffect(() => give, []); // closed in the middle of a burst: what was taken is kept

  useEffect(() => {
    if (!holding) return;
    setTaken(0);
    let held = true;
    let busy = false;
    const take = async () => {
      const video = camera.video.current;
      if (busy || !video || !drawFrame(video, canvas.current)) return;
      busy = true;
      const blob = await frameBlob(canvas.current);
      busy = false;
      if (!blob) return;
      photos.current.push(new File([blob], `webcam-${Date.now()}.jpg`, { type: blob.type }));
      setTaken((n) => n + 1);
      if (!held) give(); // a short press: the photo was ready only after it
    };
    void take();
    const timer = setInterval(() => void take(), between);
    return () => {
      held = false;
      clearInterval(timer);
      give();
    };
  }, [holding]);

  const stop = () => setHolding(false);
  return (
    <div class="capture">
      <CameraView camera={camera} flash={taken} />
      <div class="capture-bar">
        <button
          type="button"
          class={`button primary shutter${holding ? ' held' : ''}`}
          data-testid="shutter"
          disabled={camera.status !== 'on'}
          onPointerDown={(event) => {
            event.currentTarget.setPointerCapture(event.pointerId);
            setHolding(true);
          }}
          onPointerUp={stop}
          onLostPointerCapture={stop}
          onContextMenu={(event) => event.preventDefault()}
          onKeyDown={(event) => {
            if (event.key !== ' ' && event.key !== 'Enter') return;
            event.preventDefault();
            setHolding(true);
          }}
          onKeyUp={stop}
          onBlur={stop}
        >
          <Icon name="camera" />
          <span>{taken ? `${texts.capture.hold} · ${taken}` : texts.capture.hold}</span>
        </button>
        <Button icon="close" look="quiet" label={texts.capture.close} onClick={onClose} />
      </div>
    </div>
  );
}

/** What the camera sees, the choice among cameras, and what is wrong with it. */
export function CameraView({ camera, flash, children }: { camera: Camera; flash?: number; children?: preact.ComponentChildren }) {
  return (
    <div class="camera">
      <div class={`camera-view ${camera.status}`}>
        <video ref={camera.video} class={camera.mirrored ? 'mirrored' : ''} autoplay playsInline muted aria-label={texts.capture.preview} />
        {children}
        {!!flash && <span key={flash} class="camera-flash" />}
        {camera.status === 'asking' && <p class="camera-text">{texts.capture.asking}</p>}
        {camera.status === 'failed' && (
          <div class="camera-text" role="alert">
            <p>{camera.problem}</p>
            <Button onClick={camera.again}>{texts.capture.again}</Button>
          </div>
        )}
      </div>
      {camera.devices.length > 1 && (
        <select class="field" aria-label={texts.capture.camera} value={camera.chosen} onChange={(event) => camera.choose(event.currentTarget.value)}>
          {camera.devices.map((device, i) => (
            <option key={device.deviceId} value={device.deviceId}>
              {device.label || texts.capture.anyCamera(i + 1)}
            </option>
          ))}
        </select>
      )}
    </div>
  );
}
