/* A complete hook for a camera: raw frames in, one line a frame out.
 *
 *   cc -std=c99 -O2 camera_hook.c $(pkg-config --cflags --libs efiqa) -o camera_hook
 *
 *   ffmpeg -i exam.mp4 -f rawvideo -pix_fmt nv12 - | ./camera_hook -f nv12 -s 1920x1080 -
 *   ./camera_hook -f yuyv -s 1280x720 -n 100 -o /tmp/overlay /dev/video0
 *
 * Prints, tab separated: number of the frame, verdict, score, milliseconds, reason, remedy. A frame
 * that cannot be assessed prints the verdict "unknown" with the reason in words, and the stream
 * goes on. Ends with 0 at the end of the stream or after -n frames, and with 1 where nothing can be
 * read. */
#define _POSIX_C_SOURCE 200809L
#include <efiqa/efiqa.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/videodev2.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#endif

enum { MAX_SIDE_PX = 8192, DEVICE_BUFFERS = 4, DEVICE_TIMEOUT_MS = 5000 };

typedef struct hook {
  const char* model;    /* NULL: the embedded one */
  const char* overlays; /* folder for NNNNNN.ppm, or NULL */
  int allow_untrained;
  int deadline_ms;
  long frame_limit; /* 0: none */
  efiqa_frame frame;
  efiqa_runtime* runtime;
  unsigned char* overlay; /* 3 bytes a pixel */
  long frames;
} hook;

static const struct {
  const char* name;
  int32_t format;
  size_t bits_per_px;
  size_t row_bytes_per_px;
} formats[] = {{"rgb8", EFIQA_FORMAT_RGB8, 24, 3},  {"bgr8", EFIQA_FORMAT_BGR8, 24, 3},
               {"gray8", EFIQA_FORMAT_GRAY8, 8, 1}, {"rgba8", EFIQA_FORMAT_RGBA8, 32, 4},
               {"nv12", EFIQA_FORMAT_NV12, 12, 1},  {"yuyv", EFIQA_FORMAT_YUYV, 16, 2}};

static int fail(const char* what) {
  fprintf(stderr, "camera_hook: %s: %s\n", what, strerror(errno));
  return 1;
}

static size_t frame_bytes(const hook* h) {
  const size_t pixels = (size_t)h->frame.width_px * (size_t)h->frame.height_px;
  for (size_t i = 0; i < sizeof formats / sizeof formats[0]; ++i)
    if (formats[i].format == h->frame.format) return pixels * formats[i].bits_per_px / 8;
  return 0;
}

/* Points the frame at `size` bytes of one tightly packed picture. */
static void set_pixels(hook* h, const unsigned char* pixels, size_t size) {
  const size_t luma = (size_t)h->frame.row_stride_bytes * (size_t)h->frame.height_px;
  h->frame.data = pixels;
  h->frame.data_size_bytes = size;
  if (h->frame.format != EFIQA_FORMAT_NV12) return;
  h->frame.data_size_bytes = size < luma ? size : luma;
  h->frame.uv_data = pixels + h->frame.data_size_bytes;
  h->frame.uv_size_bytes = size - h->frame.data_size_bytes;
  h->frame.uv_stride_bytes = h->frame.row_stride_bytes;
}

/* Writes the picture beside its name and renames it, so that no reader finds half of it. */
static int write_ppm(const hook* h, const unsigned char* rgb) {
  char path[4096], partial[4112];
  const size_t row_bytes = 3 * (size_t)h->frame.width_px;
  const int length = snprintf(path, sizeof path, "%s/%06ld.ppm", h->overlays, h->frames);
  if (length < 0 || (size_t)length >= sizeof path) {
    errno = ENAMETOOLONG;
    return fail(h->overlays);
  }
  snprintf(partial, sizeof partial, "%s.partial", path);
  FILE* file = fopen(partial, "wb");
  if (file == NULL) return fail(partial);
  fprintf(file, "P6\n%d %d\n255\n", (int)h->frame.width_px, (int)h->frame.height_px);
  const size_t rows = (size_t)h->frame.height_px;
  const size_t written = fwrite(rgb, row_bytes, rows, file);
  if (fclose(file) != 0 || written != rows || rename(partial, path) != 0) {
    const int status = fail(partial);
    remove(partial);
    return status;
  }
  return 0;
}

/* One line for the frame in h->frame. Returns 0, also where the frame could not be assessed. */
static int assess(hook* h) {
  char message[512];
  efiqa_report report;
  EFIQA_INIT(report);
  ++h->frames;
  if (efiqa_runtime_assess(h->runtime, &h->frame, &report, message, sizeof message) !=
      EFIQA_STATUS_OK) {
    printf("%ld\t%s\t-\t-\t%s: %s\t\n", h->frames, efiqa_verdict_name(report.verdict),
           efiqa_status_name(report.status), message);
    return fflush(stdout) == 0 ? 0 : fail("standard output");
  }
  printf("%ld\t%s\t", h->frames, efiqa_verdict_name(report.verdict));
  if (isnan(report.score))
    printf("-");
  else
    printf("%.3f", report.score);
  const int32_t why = report.main_reason != EFIQA_REASON_NONE ? report.main_reason : report.reason;
  printf("\t%.1f\t%s\t%s\n", report.total_ms, efiqa_reason_name(why),
         efiqa_remedy_text(report.remedy, report.remedy_clock_hour));
  if (fflush(stdout) != 0) return fail("standard output");
  if (h->overlay == NULL) return 0;
  const ptrdiff_t stride = 3 * (ptrdiff_t)h->frame.width_px;
  const size_t size = (size_t)stride * (size_t)h->frame.height_px;
  if (efiqa_overlay_render(h->runtime, &h->frame, NULL, h->overlay, size, stride, message,
                           sizeof message) != EFIQA_STATUS_OK) {
    fprintf(stderr, "camera_hook: frame %ld has no overlay: %s\n", h->frames, message);
    return 0;
  }
  return write_ppm(h, h->overlay);
}

static int wants_more(const hook* h) { return h->frame_limit == 0 || h->frames < h->frame_limit; }

/* Reads tightly packed frames until the stream ends. */
static int run_stream(hook* h, int descriptor) {
  const size_t size = frame_bytes(h);
  unsigned char* pixels = malloc(size);
  if (pixels == NULL) return fail("frame buffer");
  int status = 0;
  while (status == 0 && wants_more(h)) {
    size_t filled = 0;
    while (filled < size) {
      const ssize_t count = read(descriptor, pixels + filled, size - filled);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) status = fail("reading the stream");
      if (count <= 0) break;
      filled += (size_t)count;
    }
    if (status != 0 || filled == 0) break;
    /* The last frame of a stream that was cut off is short: it is refused, not completed. */
    set_pixels(h, pixels, filled);
    status = assess(h);
    if (filled < size) break;
  }
  free(pixels);
  return status;
}

#ifdef __linux__
static const struct {
  int32_t format;
  uint32_t fourcc;
} fourccs[] = {{EFIQA_FORMAT_RGB8, V4L2_PIX_FMT_RGB24},
               {EFIQA_FORMAT_BGR8, V4L2_PIX_FMT_BGR24},
               {EFIQA_FORMAT_GRAY8, V4L2_PIX_FMT_GREY},
               {EFIQA_FORMAT_NV12, V4L2_PIX_FMT_NV12},
               {EFIQA_FORMAT_YUYV, V4L2_PIX_FMT_YUYV}};

static int retry_ioctl(int descriptor, unsigned long request, void* argument) {
  int result;
  do {
    result = ioctl(descriptor, request, argument);
  } while (result < 0 && errno == EINTR);
  return result;
}

/* Asks the driver for exactly this size and format, and takes its stride and colours. */
static int set_device_format(hook* h, int device) {
  struct v4l2_format format;
  memset(&format, 0, sizeof format);
  format.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
  format.fmt.pix.width = (uint32_t)h->frame.width_px;
  format.fmt.pix.height = (uint32_t)h->frame.height_px;
  format.fmt.pix.field = V4L2_FIELD_NONE;
  for (size_t i = 0; i < sizeof fourccs / sizeof fourccs[0]; ++i)
    if (fourccs[i].format == h->frame.format) format.fmt.pix.pixelformat = fourccs[i].fourcc;
  const uint32_t wanted = format.fmt.pix.pixelformat;
  if (wanted == 0) {
    errno = EINVAL;
    return fail("this format does not exist for V4L2 devices");
  }
  if (retry_ioctl(device, VIDIOC_S_FMT, &format) < 0) return fail("VIDIOC_S_FMT");
  if (format.fmt.pix.pixelformat != wanted || format.fmt.pix.width != (uint32_t)h->frame.width_px ||
      format.fmt.pix.height != (uint32_t)h->frame.height_px) {
    errno = EINVAL;
    return fail("the device does not deliver this format and size (v4l2-ctl --list-formats-ext)");
  }
  h->frame.row_stride_bytes = (ptrdiff_t)format.fmt.pix.bytesperline;
  if (format.fmt.pix.ycbcr_enc == V4L2_YCBCR_ENC_709) h->frame.matrix = EFIQA_MATRIX_BT709;
  if (format.fmt.pix.quantization == V4L2_QUANTIZATION_FULL_RANGE)
    h->frame.range = EFIQA_RANGE_FULL;
  return 0;
}

/* Takes one filled buffer, assesses it where it lies, and gives it back to the driver. */
static int assess_buffer(hook* h, int device, unsigned char* const* mapped, const size_t* sizes) {
  struct pollfd ready = {device, POLLIN, 0};
  const int polled = poll(&ready, 1, DEVICE_TIMEOUT_MS);
  if (polled < 0 && errno == EINTR) return 0;
  if (polled < 0) return fail("poll");
  if (polled == 0) {
    errno = ETIMEDOUT;
    return fail("no frame from the device");
  }
  struct v4l2_buffer buffer;
  memset(&buffer, 0, sizeof buffer);
  buffer.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
  buffer.memory = V4L2_MEMORY_MMAP;
  if (retry_ioctl(device, VIDIOC_DQBUF, &buffer) < 0) return fail("VIDIOC_DQBUF");
  if (buffer.index >= DEVICE_BUFFERS) {
    errno = EPROTO;
    return fail("VIDIOC_DQBUF");
  }
  /* A frame that the driver marks as damaged is not judged: bytesused is then no promise. */
  size_t size = buffer.flags & V4L2_BUF_FLAG_ERROR ? 0 : buffer.bytesused;
  if (size > sizes[buffer.index]) size = sizes[buffer.index];
  set_pixels(h, mapped[buffer.index], size);
  const int status = assess(h);
  if (retry_ioctl(device, VIDIOC_QBUF, &buffer) < 0) return fail("VIDIOC_QBUF");
  return status;
}

static int run_device(hook* h, int device) {
  unsigned char* mapped[DEVICE_BUFFERS] = {NULL};
  size_t sizes[DEVICE_BUFFERS] = {0};
  struct v4l2_requestbuffers request;
  int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
  if (set_device_format(h, device) != 0) return 1;
  memset(&request, 0, sizeof request);
  request.count = DEVICE_BUFFERS;
  request.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
  request.memory = V4L2_MEMORY_MMAP;
  if (retry_ioctl(device, VIDIOC_REQBUFS, &request) < 0) return fail("VIDIOC_REQBUFS");
  const uint32_t count = request.count < DEVICE_BUFFERS ? request.count : DEVICE_BUFFERS;
  int status = 0;
  for (uint32_t i = 0; i < count && status == 0; ++i) {
    struct v4l2_buffer buffer;
    memset(&buffer, 0, sizeof buffer);
    buffer.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    buffer.memory = V4L2_MEMORY_MMAP;
    buffer.index = i;
    if (retry_ioctl(device, VIDIOC_QUERYBUF, &buffer) < 0) {
      status = fail("VIDIOC_QUERYBUF");
      break;
    }
    void* memory = mmap(NULL, buffer.length, PROT_READ | PROT_WRITE, MAP_SHARED, device,
                        (off_t)buffer.m.offset);
    if (memory == MAP_FAILED) {
      status = fail("mmap");
      break;
    }
    mapped[i] = memory;
    sizes[i] = buffer.length;
    if (retry_ioctl(device, VIDIOC_QBUF, &buffer) < 0) status = fail("VIDIOC_QBUF");
  }
  if (status == 0 && retry_ioctl(device, VIDIOC_STREAMON, &type) < 0)
    status = fail("VIDIOC_STREAMON");
  while (status == 0 && wants_more(h)) status = assess_buffer(h, device, mapped, sizes);
  retry_ioctl(device, VIDIOC_STREAMOFF, &type);
  for (uint32_t i = 0; i < DEVICE_BUFFERS; ++i)
    if (mapped[i] != NULL) munmap(mapped[i], sizes[i]);
  return status;
}
#endif

static int run_source(hook* h, const char* source) {
  struct stat kind;
  if (strcmp(source, "-") == 0) return run_stream(h, STDIN_FILENO);
  if (stat(source, &kind) != 0) return fail(source);
  const int is_device = S_ISCHR(kind.st_mode);
  const int descriptor = open(source, (is_device ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  if (descriptor < 0) return fail(source);
#ifdef __linux__
  const int status = is_device ? run_device(h, descriptor) : run_stream(h, descriptor);
#else
  const int status = run_stream(h, descriptor);
#endif
  close(descriptor);
  return status;
}

static int usage(void) {
  fputs(
      "usage: camera_hook -f rgb8|bgr8|gray8|rgba8|nv12|yuyv -s WIDTHxHEIGHT [-n FRAMES]\n"
      "                   [-o OVERLAY_FOLDER] [-d DEADLINE_MS] [-m MODEL [-u]] SOURCE\n"
      "SOURCE is a file or pipe of raw frames, - for standard input, or a V4L2 device.\n"
      "-u allows a model with random weights.\n",
      stderr);
  return 2;
}

/* A whole number from `low` to `high`, or -1. */
static long number(const char* text, long low, long high) {
  char* end = NULL;
  errno = 0;
  const long value = strtol(text, &end, 10);
  return errno != 0 || end == text || *end != '\0' || value < low || value > high ? -1 : value;
}

static int set_size(hook* h, const char* text) {
  char width[16];
  const char* cross = strchr(text, 'x');
  if (cross == NULL || (size_t)(cross - text) >= sizeof width) return 0;
  memcpy(width, text, (size_t)(cross - text));
  width[cross - text] = '\0';
  h->frame.width_px = (int32_t)number(width, 1, MAX_SIDE_PX);
  h->frame.height_px = (int32_t)number(cross + 1, 1, MAX_SIDE_PX);
  return h->frame.width_px > 0 && h->frame.height_px > 0;
}

static int set_format(hook* h, const char* name) {
  for (size_t i = 0; i < sizeof formats / sizeof formats[0]; ++i) {
    if (strcmp(formats[i].name, name) != 0) continue;
    h->frame.format = formats[i].format;
    h->frame.row_stride_bytes = (ptrdiff_t)formats[i].row_bytes_per_px;
    return 1;
  }
  return 0;
}

/* Returns 0 where the arguments make no sense. */
static int parse(hook* h, int argc, char** argv) {
  int option;
  while ((option = getopt(argc, argv, "f:s:n:o:d:m:u")) != -1) {
    if (option == 'f' && set_format(h, optarg)) continue;
    if (option == 's' && set_size(h, optarg)) continue;
    if (option == 'n' && (h->frame_limit = number(optarg, 1, 1000000000)) > 0) continue;
    if (option == 'd' && (h->deadline_ms = (int)number(optarg, 1, 60000)) > 0) continue;
    if (option == 'o') h->overlays = optarg;
    if (option == 'm') h->model = optarg;
    if (option == 'u') h->allow_untrained = 1;
    if (option != 'o' && option != 'm' && option != 'u') return 0;
  }
  h->frame.row_stride_bytes *= h->frame.width_px;
  return optind + 1 == argc && h->frame.row_stride_bytes > 0;
}

int main(int argc, char** argv) {
  char message[512];
  hook h;
  efiqa_options options;
  memset(&h, 0, sizeof h);
  EFIQA_INIT(h.frame);
  EFIQA_INIT(options);
  if (!parse(&h, argc, argv)) return usage();
  options.model_path = h.model;
  options.allow_untrained = h.allow_untrained;
  options.deadline_ms = h.deadline_ms;
  if (efiqa_runtime_open(&options, &h.runtime, message, sizeof message) != EFIQA_STATUS_OK) {
    fprintf(stderr, "camera_hook: %s\n", message);
    return 1;
  }
  if (h.overlays != NULL) {
    h.overlay = malloc(3 * (size_t)h.frame.width_px * (size_t)h.frame.height_px);
    if (h.overlay == NULL) {
      efiqa_runtime_close(&h.runtime);
      return fail("overlay buffer");
    }
  }
  const int status = run_source(&h, argv[optind]);
  free(h.overlay);
  efiqa_runtime_close(&h.runtime);
  return status;
}
