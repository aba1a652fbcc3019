import { createApp } from './app/app.ts';
import { mount } from './views/page.tsx';

const into = document.getElementById('app');
if (into) mount(await createApp(), into);
if (import.meta.env.PROD && 'serviceWorker' in navigator) void navigator.serviceWorker.register('./sw.js').catch(() => undefined);
