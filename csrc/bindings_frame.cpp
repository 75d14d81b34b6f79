// Frames that Python hands over: numpy arrays, and arrays in the memory of a GPU.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "bindings.h"
#include "names.h"
#include "status.h"

namespace py = pybind11;

namespace efiqa {
namespace {

// An array of uint8 in the memory of a GPU, as its owner describes it.
struct DeviceArray {
  const std::uint8_t* data = nullptr;
  std::vector<py::ssize_t> shape, strides;  // strides in bytes
  Stream stream = nullptr;                  // on which it is written; null: CUDA's default stream
  py::object owner;                         // keeps the memory alive
};

// DLPack's C ABI, version 0 (the one without a version field). Source: DLPack's specification,
// dlpack.h.
struct DlDevice {
  std::int32_t type;
  std::int32_t id;
};
struct DlDataType {
  std::uint8_t code, bits;
  std::uint16_t lanes;
};
struct DlTensor {
  void* data;
  DlDevice device;
  std::int32_t ndim;
  DlDataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // in items; null: contiguous, the last axis fastest
  std::uint64_t byte_offset;
};
struct DlManagedTensor {
  DlTensor tensor;
  void* manager_context;
  void (*deleter)(DlManagedTensor* self);
};
constexpr std::int32_t kDlCuda = 2, kDlCudaManaged = 13;
constexpr std::uint8_t kDlUnsigned = 1;
constexpr std::int32_t kMaxAxes = 3;

[[noreturn]] void refuse_frame(const std::string& message) {
  throw Error(StatusCode::kInvalidFrame, message);
}

// What frame_view needs to know of an array, wherever it lies.
struct ArrayLayout {
  const std::uint8_t* data = nullptr;
  std::vector<py::ssize_t> shape, strides;

  std::string text(const std::vector<py::ssize_t>& values) const {
    return py::str(py::tuple(py::cast(values)));
  }
};

// What an array's shape must be, for messages.
std::string expected_shape(PixelFormat format) {
  if (format == PixelFormat::kGray8) return "(height, width)";
  if (format == PixelFormat::kNv12) {
    return "(height * 3 / 2, width), the plane of Y above that of U and V";
  }
  return "(height, width, " + std::to_string(bytes_per_pixel(format)) + ")";
}

ArrayLayout numpy_layout(const py::object& object, const std::string& expected) {
  if (!py::isinstance<py::array>(object)) {
    refuse_frame("frame is of type " + std::string(Py_TYPE(object.ptr())->tp_name) +
                 ", expected a numpy array of dtype uint8 and shape " + expected);
  }
  const py::array array = py::reinterpret_borrow<py::array>(object);
  if (!py::isinstance<py::array_t<std::uint8_t>>(object)) {
    const std::string name = py::str(array.dtype());
    refuse_frame("frame.dtype is " + name + ", expected uint8; " +
                 (array.dtype().kind() == 'f'
                      ? "float frames are refused because their range would have to be guessed"
                      : "other ranges are refused because their scale would have to be guessed") +
                 ", so convert to 0..255 where the range is known");
  }
  return {static_cast<const std::uint8_t*>(array.data()),
          {array.shape(), array.shape() + array.ndim()},
          {array.strides(), array.strides() + array.ndim()}};
}

void check_strides(const ArrayLayout& array, py::ssize_t pixel_bytes) {
  if (array.strides[1] != pixel_bytes || (array.shape.size() == 3 && array.strides[2] != 1)) {
    refuse_frame("frame.strides is " + array.text(array.strides) +
                 ", expected contiguous pixels of " + std::to_string(pixel_bytes) +
                 " bytes within a row; pass np.ascontiguousarray(frame)");
  }
  const py::ssize_t row_bytes = array.shape[1] * pixel_bytes;
  if (array.strides[0] < row_bytes) {
    refuse_frame("frame.strides[0] is " + std::to_string(array.strides[0]) +
                 ", expected at least " + std::to_string(row_bytes) +
                 " (rows must not overlap or run upwards); pass np.ascontiguousarray(frame)");
  }
}

std::unique_ptr<DeviceArray> array_at(std::uintptr_t pointer, std::vector<py::ssize_t> shape,
                                      std::vector<py::ssize_t> strides, std::uintptr_t stream,
                                      py::object owner) {
  if (shape.size() != strides.size()) {
    refuse_frame("frame.strides has " + std::to_string(strides.size()) +
                 " numbers, expected one for each of the " + std::to_string(shape.size()) +
                 " axes");
  }
  auto array = std::make_unique<DeviceArray>();
  array->data = reinterpret_cast<const std::uint8_t*>(pointer);
  array->shape = std::move(shape);
  array->strides = std::move(strides);
  array->stream = reinterpret_cast<Stream>(stream);
  array->owner = std::move(owner);
  return array;
}

// Takes the tensor out of the capsule, which is spent afterwards, as the protocol has it.
std::unique_ptr<DeviceArray> array_of_dlpack(const py::capsule& capsule, std::uintptr_t stream) {
  constexpr const char* kFresh = "dltensor";
  if (!PyCapsule_IsValid(capsule.ptr(), kFresh)) {
    refuse_frame("frame.__dlpack__ gave a capsule called \"" +
                 std::string(capsule.name() == nullptr ? "" : capsule.name()) + "\", expected \"" +
                 kFresh + "\"");
  }
  auto* managed = static_cast<DlManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), kFresh));
  PyCapsule_SetName(capsule.ptr(), "used_dltensor");
  // The owner gives the tensor back, also when a rule below is broken.
  const py::capsule owner(managed, [](void* pointer) {
    auto* tensor = static_cast<DlManagedTensor*>(pointer);
    if (tensor->deleter != nullptr) tensor->deleter(tensor);
  });
  const DlTensor& tensor = managed->tensor;
  if (tensor.device.type != kDlCuda && tensor.device.type != kDlCudaManaged) {
    refuse_frame(
        "frame lies on a device of DLPack type " + std::to_string(tensor.device.type) +
        ", expected 2 (CUDA) or 13 (CUDA managed); copy it to the host or to a CUDA device");
  }
  if (tensor.dtype.code != kDlUnsigned || tensor.dtype.bits != 8 || tensor.dtype.lanes != 1) {
    refuse_frame(
        "frame's DLPack type has code " + std::to_string(tensor.dtype.code) + ", " +
        std::to_string(tensor.dtype.bits) + " bits and " + std::to_string(tensor.dtype.lanes) +
        " lanes, expected uint8 (code 1, 8 bits, 1 lane): any other range would have to be "
        "guessed");
  }
  if (tensor.ndim < 1 || tensor.ndim > kMaxAxes) {
    refuse_frame("frame has " + std::to_string(tensor.ndim) + " axes, expected 2 or 3");
  }
  std::vector<py::ssize_t> shape(tensor.shape, tensor.shape + tensor.ndim);
  std::vector<py::ssize_t> strides(shape.size(), 1);
  for (std::size_t i = shape.size() - 1; i-- > 0;) strides[i] = strides[i + 1] * shape[i + 1];
  if (tensor.strides != nullptr) strides.assign(tensor.strides, tensor.strides + tensor.ndim);
  return array_at(reinterpret_cast<std::uintptr_t>(tensor.data) + tensor.byte_offset,
                  std::move(shape), std::move(strides), stream, owner);
}

}  // namespace

FrameView frame_view(const py::object& object, const std::string& format_name,
                     const std::string& yuv_matrix, const std::string& yuv_range) {
  FrameView view;
  view.format = value_of_name(kPixelFormatNames, format_name, "pixel_format");
  view.matrix = value_of_name(kYuvMatrixNames, yuv_matrix, "yuv_matrix");
  view.range = value_of_name(kYuvRangeNames, yuv_range, "yuv_range");
  const std::string expected = expected_shape(view.format);
  ArrayLayout array;
  if (py::isinstance<DeviceArray>(object)) {
    const auto& device = object.cast<const DeviceArray&>();
    array = {device.data, device.shape, device.strides};
    view.memory = Memory::kDevice;
    view.stream = device.stream;
  } else {
    array = numpy_layout(object, expected);
  }
  const bool nv12 = view.format == PixelFormat::kNv12;
  const py::ssize_t pixel_bytes = bytes_per_pixel(view.format);
  const std::size_t axes = nv12 || view.format == PixelFormat::kGray8 ? 2 : 3;
  if (array.shape.size() != axes || (axes == 3 && array.shape[2] != pixel_bytes) ||
      (nv12 && array.shape[0] % 3 != 0)) {
    refuse_frame("frame.shape is " + array.text(array.shape) + ", expected " + expected +
                 " for pixel_format \"" + format_name + "\"");
  }
  const py::ssize_t height = nv12 ? array.shape[0] / 3 * 2 : array.shape[0];
  const py::ssize_t width = array.shape[1];
  if (height < kMinSidePx || height > kMaxSidePx || width < kMinSidePx || width > kMaxSidePx) {
    refuse_frame("frame.shape is " + array.text(array.shape) + ", expected height and width from " +
                 std::to_string(kMinSidePx) + " to " + std::to_string(kMaxSidePx) + " pixels");
  }
  check_strides(array, pixel_bytes);
  view.data = array.data;
  view.width_px = static_cast<int>(width);
  view.height_px = static_cast<int>(height);
  view.row_stride_bytes = array.strides[0];
  if (nv12) {
    view.uv_data = view.data + height * view.row_stride_bytes;
    view.uv_stride_bytes = view.row_stride_bytes;
  }
  validate_frame(view);
  return view;
}

void register_device_array(py::module_& module) {
  py::class_<DeviceArray>(module, "DeviceArray", py::is_final())
      .def(py::init(&array_at), py::arg("pointer"), py::arg("shape"), py::arg("strides"),
           py::arg("stream"), py::arg("owner"))
      .def_property_readonly(
          "pointer", [](const DeviceArray& a) { return reinterpret_cast<std::uintptr_t>(a.data); })
      .def_property_readonly(
          "stream", [](const DeviceArray& a) { return reinterpret_cast<std::uintptr_t>(a.stream); })
      .def_property_readonly("dtype",
                             [](const DeviceArray&) { return py::dtype::of<std::uint8_t>(); })
      .def_property_readonly("ndim", [](const DeviceArray& a) { return a.shape.size(); })
      .def_property_readonly("size",
                             [](const DeviceArray& a) {
                               py::ssize_t items = 1;
                               for (const py::ssize_t side : a.shape) items *= side;
                               return items;
                             })
      .def_property_readonly("shape",
                             [](const DeviceArray& a) { return py::tuple(py::cast(a.shape)); })
      .def_property_readonly("strides",
                             [](const DeviceArray& a) { return py::tuple(py::cast(a.strides)); });
  module.def("device_array_of_dlpack", &array_of_dlpack, py::arg("capsule"), py::arg("stream"));
}

}  // namespace efiqa
