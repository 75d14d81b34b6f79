/* A V4L2 capture device for tests, preloaded into the camera hook: /dev/null stands for the device.
 *
 * V4L2_DOUBLE names a file of tightly packed YUYV frames of the size that the hook asks for. They
 * come in buffers whose rows are padded, as a driver's often are. The second frame is marked as
 * damaged. After the last one poll() times out at once. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum { BUFFERS = 3, PADDING_BYTES = 64, DAMAGED_FRAME = 1, FAR_APART = 1 << 24 };

static struct {
  FILE* frames;
  size_t row_bytes, rows, stride;
  unsigned char* buffers[BUFFERS];
  int queued[BUFFERS]; /* indices, oldest first */
  int queue_length;
  int streaming, delivered;
} device;

static int refuse(int error) {
  errno = error;
  return -1;
}

static int set_format(struct v4l2_format* format) {
  const char* path = getenv("V4L2_DOUBLE");
  if (path == NULL) return refuse(ENOTTY);
  device.frames = fopen(path, "rb");
  if (device.frames == NULL) return -1;
  format->fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV; /* all that it has, whatever is asked for */
  device.row_bytes = 2 * (size_t)format->fmt.pix.width;
  device.rows = format->fmt.pix.height;
  device.stride = device.row_bytes + PADDING_BYTES;
  format->fmt.pix.bytesperline = (uint32_t)device.stride;
  format->fmt.pix.sizeimage = (uint32_t)(device.stride * device.rows);
  return 0;
}

static int dequeue(struct v4l2_buffer* buffer) {
  if (!device.streaming || device.queue_length == 0) return refuse(EINVAL);
  const int index = device.queued[0];
  memmove(device.queued, device.queued + 1, sizeof device.queued - sizeof device.queued[0]);
  --device.queue_length;
  unsigned char* out = device.buffers[index];
  memset(out, 0xEE, device.stride * device.rows);
  for (size_t y = 0; y < device.rows; ++y)
    if (fread(out + y * device.stride, 1, device.row_bytes, device.frames) != device.row_bytes)
      return refuse(EIO);
  buffer->index = (uint32_t)index;
  buffer->bytesused = (uint32_t)(device.stride * device.rows);
  buffer->flags = device.delivered++ == DAMAGED_FRAME ? V4L2_BUF_FLAG_ERROR : 0;
  return 0;
}

int ioctl(int descriptor, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  (void)descriptor;
  struct v4l2_buffer* buffer = argument;
  switch (request) {
    case VIDIOC_S_FMT:
      return set_format(argument);
    case VIDIOC_REQBUFS:
      ((struct v4l2_requestbuffers*)argument)->count = BUFFERS; /* fewer than asked for */
      return 0;
    case VIDIOC_QUERYBUF:
      if (buffer->index >= BUFFERS) return refuse(EINVAL);
      buffer->length = (uint32_t)(device.stride * device.rows);
      buffer->m.offset = buffer->index * FAR_APART;
      return 0;
    case VIDIOC_QBUF:
      if (buffer->index >= BUFFERS || device.queue_length == BUFFERS) return refuse(EINVAL);
      device.queued[device.queue_length++] = (int)buffer->index;
      return 0;
    case VIDIOC_DQBUF:
      return dequeue(buffer);
    case VIDIOC_STREAMON:
      device.streaming = 1;
      return 0;
    case VIDIOC_STREAMOFF:
      device.streaming = 0;
      device.queue_length = 0;
      return 0;
    default:
      return refuse(ENOTTY);
  }
}

int poll(struct pollfd* descriptors, nfds_t count, int timeout_ms) {
  (void)count;
  (void)timeout_ms;
  const int next = device.frames == NULL ? EOF : fgetc(device.frames);
  if (next == EOF) return 0;
  ungetc(next, device.frames);
  descriptors->revents = POLLIN;
  return 1;
}

/* Other mappings, of OpenVINO's for instance, go on to the C library. */
void* mmap(void* address, size_t length, int protection, int flags, int descriptor, off_t offset) {
  if (device.rows == 0 || length != device.stride * device.rows || descriptor < 0)
    return (void*)syscall(SYS_mmap, address, length, protection, flags, descriptor, offset);
  unsigned char* memory = malloc(length);
  device.buffers[offset / FAR_APART] = memory;
  return memory == NULL ? MAP_FAILED : memory;
}

int munmap(void* address, size_t length) {
  for (int i = 0; i < BUFFERS; ++i) {
    if (address != device.buffers[i] || address == NULL) continue;
    free(address);
    device.buffers[i] = NULL;
    return 0;
  }
  return (int)syscall(SYS_munmap, address, length);
}
