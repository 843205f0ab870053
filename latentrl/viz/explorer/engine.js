// Layers of a network on Float32Arrays. A tensor is {data, shape}; images are channels first.

const ACTIVATIONS = {
  identity: (x) => x,
  relu: (x) => (x > 0 ? x : 0),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  silu: (x) => x / (1 + Math.exp(-x)),
  step: (x) => (x > 0 ? 1 : 0),
  gelu: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
};

// Abramowitz & Stegun, formula 7.1.26: the error is below 1.5e-7.
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741
    + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - sum * Math.exp(-x * x));
}

const KINDS = {
  linear(x, layer) {
    const { data: weight, shape: [outputs, inputs] } = layer.weight;
    const data = Float32Array.from(layer.bias.data);
    for (let o = 0, k = 0; o < outputs; o++) {
      let sum = 0;
      for (let i = 0; i < inputs; i++) sum += weight[k++] * x.data[i];
      data[o] += sum;
    }
    return { data, shape: [outputs] };
  },

  conv(x, layer) {
    const [channels, height, width] = x.shape;
    const { data: weight, shape: [outputs, , rows, columns] } = layer.weight;
    const [strideY, strideX] = layer.stride;
    const [padY, padX] = layer.padding;
    const outHeight = Math.floor((height + 2 * padY - rows) / strideY) + 1;
    const outWidth = Math.floor((width + 2 * padX - columns) / strideX) + 1;
    const out = filled(layer.bias.data, outHeight, outWidth);
    let k = 0;
    for (let o = 0; o < outputs; o++) {
      for (let i = 0; i < channels; i++) {
        for (let r = 0; r < rows; r++) {
          for (let c = 0; c < columns; c++) {
            const w = weight[k++];
            // Outputs whose input column lies inside the image.
            const first = Math.max(0, Math.ceil((padX - c) / strideX));
            const end = Math.min(outWidth, Math.floor((width - 1 + padX - c) / strideX) + 1);
            for (let y = 0; y < outHeight; y++) {
              const row = y * strideY + r - padY;
              if (row < 0 || row >= height) continue;
              let to = (o * outHeight + y) * outWidth + first;
              let from = (i * height + row) * width + first * strideX + c - padX;
              for (let n = first; n < end; n++, from += strideX) out.data[to++] += w * x.data[from];
            }
          }
        }
      }
    }
    return out;
  },

  deconv(x, layer) {
    const [channels, height, width] = x.shape;
    const { data: weight, shape: [, outputs, rows, columns] } = layer.weight;
    const [strideY, strideX] = layer.stride;
    const [padY, padX] = layer.padding;
    const outHeight = (height - 1) * strideY - 2 * padY + rows + layer.extra[0];
    const outWidth = (width - 1) * strideX - 2 * padX + columns + layer.extra[1];
    const out = filled(layer.bias.data, outHeight, outWidth);
    let k = 0;
    for (let i = 0; i < channels; i++) {
      for (let o = 0; o < outputs; o++) {
        for (let r = 0; r < rows; r++) {
          for (let c = 0; c < columns; c++) {
            const w = weight[k++];
            // Inputs whose output column lies inside the image.
            const first = Math.max(0, Math.ceil((padX - c) / strideX));
            const end = Math.min(width, Math.floor((outWidth - 1 + padX - c) / strideX) + 1);
            for (let y = 0; y < height; y++) {
              const row = y * strideY + r - padY;
              if (row < 0 || row >= outHeight) continue;
              let from = (i * height + y) * width + first;
              let to = (o * outHeight + row) * outWidth + first * strideX + c - padX;
              for (let n = first; n < end; n++, to += strideX) out.data[to] += w * x.data[from++];
            }
          }
        }
      }
    }
    return out;
  },

  activation: (x, layer) => ({ data: x.data.map(ACTIVATIONS[layer.name]), shape: x.shape }),

  levels(x, { count }) {
    const steps = count - 1;
    const data = x.data.map((v) => (2 * Math.round(((v + 1) / 2) * steps)) / steps - 1);
    return { data, shape: x.shape };
  },

  add: (x, { value }) => ({ data: x.data.map((v, i) => v + value.data[i]), shape: x.shape }),

  residual(x, { layers }) {
    const added = runLayers(layers, x);
    return { data: x.data.map((v, i) => v + added.data[i]), shape: x.shape };
  },

  reshape: (x, { shape }) => ({ data: x.data, shape: shape[0] < 0 ? [x.data.length] : shape }),

  // The first entries of the first axis.
  slice(x, { count }) {
    const size = (x.data.length / x.shape[0]) * count;
    return { data: x.data.slice(0, size), shape: [count, ...x.shape.slice(1)] };
  },
};

function filled(bias, height, width) {
  const size = height * width;
  const data = new Float32Array(bias.length * size);
  bias.forEach((value, channel) => data.fill(value, channel * size, (channel + 1) * size));
  return { data, shape: [bias.length, height, width] };
}

function runLayers(layers, x) {
  return layers.reduce((value, layer) => KINDS[layer.kind](value, layer), x);
}

// The 65536 values of float16, by their bits.
function halfTable() {
  return Float32Array.from({ length: 65536 }, (_, bits) => {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = (bits & 1023) / 1024;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction);
  });
}

let halves = null;

// An array of the document, {dtype, shape, base64}, as a tensor.
function tensorOf({ dtype, shape, base64 }) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  if (dtype === 'uint8') return { data: bytes, shape };
  if (dtype === 'float32') return { data: new Float32Array(bytes.buffer), shape };
  halves ??= halfTable();
  return { data: Float32Array.from(new Uint16Array(bytes.buffer), (bits) => halves[bits]), shape };
}

// A copy of JSON with tensors in place of its arrays in base64.
function withTensors(value) {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(withTensors);
  if ('base64' in value) return tensorOf(value);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withTensors(item)]));
}
