// The search for the field of view as the GPU runs it, against the CPU's: the same code and the
// same rounding, so the fields are the same to the bit.
#include <cstring>
#include <random>
#include <sstream>
#include <vector>

#include "check.h"
#include "cuda_util.h"
#include "fov.h"
#include "fov_cuda.h"
#include "synthetic.h"

using efiqa::check_cuda;
using efiqa::DeviceBuffer;
using efiqa::DeviceField;
using efiqa::DeviceFovFinder;
using efiqa::FieldOfView;
using efiqa::FovFinder;
using efiqa::FovShape;
using efiqa::FrameView;
using efiqa::PixelFormat;
using efiqa::ThreadPool;
using efiqa_test::draw;
using efiqa_test::Drawing;
using efiqa_test::flat;
using efiqa_test::page_of_text;
using efiqa_test::random_scene;
using efiqa_test::Scene;

namespace {

// Bytes of a frame in host memory: its planes are copied as they lie, padding and all.
std::size_t plane_bytes(const FrameView& view) {
  return static_cast<std::size_t>(view.row_stride_bytes) *
             static_cast<std::size_t>(view.height_px - 1) +
         static_cast<std::size_t>(view.width_px) *
             static_cast<std::size_t>(efiqa::bytes_per_pixel(view.format));
}

void copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  check_cuda(cudaMemcpy(to, from, bytes, kind), "cudaMemcpy");
}

// One finder for all frames, as in a runtime: what one frame leaves behind must not reach another.
class Device {
 public:
  // `offset`: of the frame from the beginning of an allocation, bytes.
  DeviceField find(const FrameView& view, std::size_t offset = 0) {
    place(view, offset);
    finder_.enqueue(view, frame_.data(), field_.data(), nullptr);
    return result();
  }

  // Puts the frame into device memory, and its view there into frame().
  void place(const FrameView& view, std::size_t offset) {
    pixels_.reserve(offset + plane_bytes(view));
    FrameView there = view;
    there.data = pixels_.data() + offset;
    copy(pixels_.data() + offset, view.data, plane_bytes(view), cudaMemcpyHostToDevice);
    if (view.uv_data != nullptr) {
      const std::size_t bytes = static_cast<std::size_t>(view.uv_stride_bytes) *
                                static_cast<std::size_t>(view.height_px / 2);
      colours_.reserve(bytes);
      there.uv_data = colours_.data();
      copy(colours_.data(), view.uv_data, bytes, cudaMemcpyHostToDevice);
    }
    copy(frame_.data(), &there, sizeof(there), cudaMemcpyHostToDevice);
  }

  DeviceField result() {
    DeviceField field;
    copy(&field, field_.data(), sizeof(field), cudaMemcpyDeviceToHost);
    return field;
  }

  DeviceFovFinder& finder() { return finder_; }
  const FrameView* frame() const { return frame_.data(); }
  DeviceField* field() { return field_.data(); }

 private:
  DeviceFovFinder finder_;
  DeviceBuffer<std::uint8_t> pixels_, colours_;
  DeviceBuffer<FrameView> frame_{1};
  DeviceBuffer<DeviceField> field_{1};
};

FieldOfView find_on_cpu(const FrameView& view) {
  ThreadPool pool(1);
  return FovFinder(pool).find(view);
}

bool same(const DeviceField& device, const FieldOfView& cpu) {
  const efiqa::SquareCrop crop = efiqa::square_crop(cpu);
  return std::memcmp(&device.fov, &cpu, sizeof(cpu)) == 0 &&
         std::memcmp(&device.crop, &crop, sizeof(crop)) == 0;
}

void check_same(Device& device, const FrameView& view, const char* what, std::size_t offset = 0) {
  const DeviceField found = device.find(view, offset);
  const FieldOfView expected = find_on_cpu(view);
  if (same(found, expected)) return;
  std::ostringstream message;
  message << what << ": on the device shape " << static_cast<int>(found.fov.shape) << ", circle "
          << found.fov.center_x_px << " " << found.fov.center_y_px << " " << found.fov.radius_px
          << "; on the CPU shape " << static_cast<int>(expected.shape) << ", circle "
          << expected.center_x_px << " " << expected.center_y_px << " " << expected.radius_px;
  efiqa_test::fail(__FILE__, __LINE__, message.str());
}

}  // namespace

TEST(device_fov_random_circles_equal_the_cpu) {
  Device device;
  std::mt19937 random(23);
  for (int i = 0; i < efiqa_test::rounds(40); ++i) {
    const std::string what = "scene " + std::to_string(i);
    check_same(device, draw(random_scene(random, i)).view, what.c_str());
  }
}

TEST(device_fov_rectangles_equal_the_cpu) {
  Device device;
  Scene filled;
  filled.radius = 700;
  check_same(device, draw(filled).view, "a retina that fills the frame");
  Scene letterbox;
  letterbox.radius = 900;
  letterbox.top = 60;
  letterbox.bottom = 420;
  const Drawing d = draw(letterbox);
  check_same(device, d.view, "a letterbox");
  CHECK(device.find(d.view).fov.shape == FovShape::kRectangle);
}

TEST(device_fov_frames_without_one_give_zeros) {
  Device device;
  device.find(draw(Scene()).view);
  std::mt19937 random(3);
  Drawing noise = flat(500, 300, 0);
  for (std::uint8_t& p : noise.pixels) p = static_cast<std::uint8_t>(random() & 255u);
  for (const Drawing& d : {flat(333, 333, 0), flat(64, 64, 128), page_of_text(), noise}) {
    const DeviceField found = device.find(d.view);
    CHECK(found.fov.shape == FovShape::kNone);
    CHECK_EQ(found.crop.side_px, 0);
    CHECK(same(found, FieldOfView()));
  }
}

TEST(device_fov_small_large_and_narrow_frames_equal_the_cpu) {
  Device device;
  // Scales of 1 (not halved), 4 and 8 (read in whole words), 3, and 16 with planes 2 pixels across.
  const int sizes[][2] = {{64, 64},     {1920, 1080}, {3600, 700},
                          {1300, 1001}, {8192, 64},   {64, 8192}};
  for (const auto& size : sizes) {
    Scene s;
    s.width = size[0];
    s.height = size[1];
    s.x = 0.49 * s.width;
    s.y = 0.52 * s.height;
    s.radius = 0.44 * std::min(s.width, s.height);
    const std::string what = std::to_string(s.width) + " x " + std::to_string(s.height);
    check_same(device, draw(s).view, what.c_str());
  }
}

TEST(device_fov_formats_strides_and_alignments_equal_the_cpu) {
  Device device;
  Scene scene;
  scene.width = 1600;  // a scale of 4
  scene.height = 300;
  scene.x = 800;
  scene.y = 150;
  scene.radius = 140;
  const Drawing rgb = draw(scene);
  const int width = scene.width, height = scene.height;
  for (const PixelFormat format : {PixelFormat::kRgb8, PixelFormat::kBgr8, PixelFormat::kGray8,
                                   PixelFormat::kRgba8, PixelFormat::kNv12, PixelFormat::kYuyv}) {
    const int bytes = efiqa::bytes_per_pixel(format);
    for (const int padding : {0, 4, 13}) {
      const std::ptrdiff_t stride = static_cast<std::ptrdiff_t>(width) * bytes + padding;
      std::vector<std::uint8_t> pixels(static_cast<std::size_t>(stride * height), 200);
      for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
          const std::uint8_t* from = rgb.pixels.data() + (y * width + x) * 3;
          std::uint8_t* to = pixels.data() + y * stride + x * bytes;
          if (format == PixelFormat::kYuyv) {
            to[0] = from[0];
            to[1] = x % 2 == 0 ? 120 : 140;
          } else {
            for (int c = 0; c < std::min(bytes, 3); ++c) {
              to[c] = from[format == PixelFormat::kBgr8 ? 2 - c : c];
            }
          }
        }
      }
      FrameView view{pixels.data(), width, height, stride, format};
      std::vector<std::uint8_t> colours(static_cast<std::size_t>((width + 6) * height / 2));
      if (format == PixelFormat::kNv12) {
        std::mt19937 random(7);
        for (std::uint8_t& c : colours) c = static_cast<std::uint8_t>(120 + random() % 30);
        view.uv_data = colours.data();
        view.uv_stride_bytes = width + 6;
      }
      const std::string what = "format " + std::to_string(static_cast<int>(format)) + ", padding " +
                               std::to_string(padding);
      check_same(device, view, what.c_str());
      check_same(device, view, (what + ", moved by a byte").c_str(), 1);
    }
  }
}

TEST(device_fov_captured_search_serves_frames_at_other_addresses) {
  Device device;
  Scene first, second;
  second.x = 300;
  second.radius = 180;
  efiqa::StreamHandle stream;
  const Drawing one = draw(first), other = draw(second);
  efiqa::Graph graph;
  graph.capture(stream.get(), [&] {
    device.finder().enqueue(one.view, device.frame(), device.field(), stream.get());
  });
  std::size_t offset = 0;
  for (const Drawing* d : {&one, &other, &one}) {
    device.place(d->view, offset);
    graph.launch(stream.get());
    check_cuda(cudaStreamSynchronize(stream.get()), "cudaStreamSynchronize");
    CHECK(same(device.result(), find_on_cpu(d->view)));
    offset += 97;
  }
}
