#include "upload_cuda.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace efiqa {
namespace {

// Rows in device memory begin at multiples of this, so that a warp's loads are whole cache lines.
constexpr std::ptrdiff_t kRowAlignment = 128;
// The CPU packs one piece while the last one is on its way.
constexpr int kPieces = 4;
constexpr int kRowGrain = 64;  // rows per task: tens of microseconds

std::ptrdiff_t aligned(std::ptrdiff_t bytes) {
  return (bytes + kRowAlignment - 1) / kRowAlignment * kRowAlignment;
}

cudaPointerAttributes attributes_of(const void* memory) {
  cudaPointerAttributes attributes{};
  check_cuda(cudaPointerGetAttributes(&attributes, memory), "cudaPointerGetAttributes");
  return attributes;
}

}  // namespace

void check_device_pointer(const void* memory, const char* field, int device, StatusCode code) {
  const cudaPointerAttributes attributes = attributes_of(memory);
  if (attributes.type != cudaMemoryTypeDevice && attributes.type != cudaMemoryTypeManaged) {
    throw Error(code, std::string(field) + " is " +
                          (attributes.type == cudaMemoryTypeHost
                               ? "memory of the host"
                               : "no memory that CUDA knows: of the host, or freed") +
                          ", expected device memory; pass a GPU array that is alive, or say host "
                          "memory");
  }
  if (attributes.device != device) {
    throw Error(code, std::string(field) + " lies on CUDA device " +
                          std::to_string(attributes.device) + ", this Runtime runs on device " +
                          std::to_string(device) +
                          "; copy it there, or open a Runtime while that device is current");
  }
}

FrameView FrameUpload::take(const FrameView& frame, int device, Stream stream) {
  if (frame.memory == Memory::kHost) return copy(frame, stream);
  check_device_pointer(frame.data, "frame.data", device, StatusCode::kInvalidFrame);
  if (frame.format == PixelFormat::kNv12) {
    check_device_pointer(frame.uv_data, "frame.uv_data", device, StatusCode::kInvalidFrame);
  }
  made_.record(frame.stream);
  made_.make_wait(stream);
  FrameView view = frame;
  view.stream = nullptr;
  return view;
}

FrameView FrameUpload::copy(const FrameView& frame, Stream stream) {
  const bool two_planes = frame.format == PixelFormat::kNv12;
  const std::ptrdiff_t row_bytes =
      static_cast<std::ptrdiff_t>(frame.width_px) * bytes_per_pixel(frame.format);
  const int uv_rows = two_planes ? frame.height_px / 2 : 0;
  FrameView view = frame;
  view.row_stride_bytes = aligned(row_bytes);
  view.uv_stride_bytes = two_planes ? aligned(frame.width_px) : 0;
  const std::size_t uv_offset = static_cast<std::size_t>(view.row_stride_bytes) * frame.height_px;
  pixels_.reserve(uv_offset + static_cast<std::size_t>(view.uv_stride_bytes) * uv_rows);
  view.data = pixels_.data();
  view.uv_data = two_planes ? pixels_.data() + uv_offset : nullptr;
  view.memory = Memory::kDevice;
  view.stream = nullptr;
  copy_plane(frame.data, frame.row_stride_bytes, row_bytes, frame.height_px, 0,
             view.row_stride_bytes, stream);
  if (two_planes) {
    copy_plane(frame.uv_data, frame.uv_stride_bytes, frame.width_px, uv_rows, uv_offset,
               view.uv_stride_bytes, stream);
  }
  return view;
}

void FrameUpload::copy_plane(const std::uint8_t* source, std::ptrdiff_t source_stride_bytes,
                             std::ptrdiff_t row_bytes, int rows, std::size_t offset,
                             std::ptrdiff_t stride_bytes, Stream stream) {
  if (attributes_of(source).type == cudaMemoryTypeHost) {  // page-locked already
    check_cuda(cudaMemcpy2DAsync(pixels_.data() + offset, stride_bytes, source, source_stride_bytes,
                                 row_bytes, rows, cudaMemcpyHostToDevice, stream),
               "cudaMemcpy2DAsync of the frame");
    return;
  }
  staged_.reserve(pixels_.count());
  std::uint8_t* staged = staged_.data() + offset;
  const int piece_rows = (rows + kPieces - 1) / kPieces;
  for (int first = 0; first < rows; first += piece_rows) {
    const int count = std::min(piece_rows, rows - first);
    pool_.for_ranges(count, kRowGrain, [&](int begin, int end) {
      for (std::ptrdiff_t y = first + begin; y < first + end; ++y) {
        std::memcpy(staged + y * stride_bytes, source + y * source_stride_bytes,
                    static_cast<std::size_t>(row_bytes));
      }
    });
    const std::ptrdiff_t at = first * stride_bytes;
    check_cuda(cudaMemcpyAsync(pixels_.data() + offset + at, staged + at,
                               static_cast<std::size_t>(count * stride_bytes),
                               cudaMemcpyHostToDevice, stream),
               "cudaMemcpyAsync of the frame");
  }
}

}  // namespace efiqa
