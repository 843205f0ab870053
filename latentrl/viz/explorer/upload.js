// An image file as an input of the encoder: crop, resize, greyscale and scale.

// Rectangle of an image that the preprocessing keeps. An image of the network's size was cropped.
function cropOf(image, crop, { height, width }) {
  if (image.width === width && image.height === height) return [0, 0, width, height];
  const [top, bottom, left, right] = crop;
  return [
    left * image.width, top * image.height,
    (1 - left - right) * image.width, (1 - top - bottom) * image.height,
  ];
}

// Draws an image at the network's size.
function drawCropped(image, canvas, source, format) {
  Object.assign(canvas, { width: format.width, height: format.height });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.imageSmoothingQuality = 'high';
  context.drawImage(image, ...cropOf(image, source.crop, format), 0, 0, format.width, format.height);
  return context.getImageData(0, 0, format.width, format.height);
}

const luma = (red, green, blue) => 0.299 * red + 0.587 * green + 0.114 * blue;

// Pixels as a scaled image (C, h, w).
function scaledInput({ data, height, width }, { channels, grey, low, high }) {
  const size = height * width;
  const scaled = new Float32Array(channels * size);
  for (let i = 0; i < size; i++) {
    const rgb = [data[4 * i], data[4 * i + 1], data[4 * i + 2]];
    const values = channels === 1 ? [luma(...rgb)] : rgb;
    values.forEach((value, c) => { scaled[c * size + i] = (value - low[c]) / (high[c] - low[c]); });
  }
  if (!grey) return { data: scaled, shape: [channels, height, width] };
  const one = (_, i) => luma(scaled[i], scaled[size + i], scaled[2 * size + i]);
  return { data: Float32Array.from({ length: size }, one), shape: [1, height, width] };
}

// Calls onImage(bitmap) for files that are chosen or dropped; onError() where one is no image.
function acceptImages(onImage, onError) {
  const read = (file) => file && createImageBitmap(file).then(onImage, onError);
  element('file').addEventListener('change', (event) => read(event.target.files[0]));
  const screen = element('screen');
  const mark = (event, over) => {
    event.preventDefault();
    screen.classList.toggle('over', over);
  };
  screen.addEventListener('dragover', (event) => mark(event, true));
  screen.addEventListener('dragleave', (event) => mark(event, false));
  screen.addEventListener('drop', (event) => {
    mark(event, false);
    read(event.dataTransfer.files[0]);
  });
}
