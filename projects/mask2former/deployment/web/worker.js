// Runs the model beside the page, which stays responsive: first it is given the model, then images.
let runtime;
let session;
let meta;

async function load(given) {
  meta = given.meta;
  // Where the page is a file, workers may import neither files nor blobs.
  runtime = await import(`data:text/javascript;base64,${given.module}`);
  runtime.env.wasm.numThreads = 1; // more need headers that only a server sends
  runtime.env.wasm.wasmBinary = given.wasm;
  session = await runtime.InferenceSession.create(new Uint8Array(given.model));
  return {};
}

async function segment({ pixels, height, width }) {
  const start = performance.now();
  const input = new runtime.Tensor('float32', prepare(meta, pixels, height, width), [1, 3, ...meta.size]);
  const { class_logits: logits, mask_logits: masks } = await session.run({ image: input });
  const result = panoptic(meta, logits.data, masks.data, masks.dims.slice(1), height, width);
  return { ...result, seconds: (performance.now() - start) / 1000 };
}

self.onmessage = async ({ data }) => {
  try {
    self.postMessage(await (data.model ? load(data) : segment(data)));
  } catch (error) {
    self.postMessage({ error: String(error.message ?? error) });
  }
};
