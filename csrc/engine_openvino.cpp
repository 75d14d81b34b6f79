// The OpenVINO back end: the only file that includes OpenVINO's headers.
#include <algorithm>
#include <exception>
#include <istream>
#include <memory>
#include <new>
#include <openvino/frontend/manager.hpp>
#include <openvino/openvino.hpp>
#include <streambuf>
#include <string>

#include "engine_backends.h"
#include "onnx_scan.h"
#include "status.h"

namespace efiqa {
namespace {

bool starts_with(const std::string& line, const char* prefix) { return line.rfind(prefix, 0) == 0; }

// The line of an OpenVINO message that says what happened: not the places in OpenVINO's sources
// that come first, and of a list of operators the summary of those it does not know.
std::string vendor_line(const std::exception& error) {
  const std::string text = error.what();
  const std::size_t summary = text.find("No conversion rule found");
  std::string first;
  for (std::size_t start = summary == std::string::npos ? 0 : summary; start < text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    std::string line = text.substr(start, end - start);
    start = end + 1;
    while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.pop_back();
    if (line.empty()) continue;
    if (first.empty()) first = line;
    const bool is_place = starts_with(line, "Exception from ") || starts_with(line, "Check ") ||
                          starts_with(line, "FrontEnd API failed with ");
    if (!is_place) return line;
  }
  return first.empty() ? "no message" : first;
}

// A read-only stream over memory that it does not copy.
class MemoryBuffer : public std::streambuf {
 public:
  explicit MemoryBuffer(const std::string& bytes) {
    char* begin = const_cast<char*>(bytes.data());  // setg wants char*; nothing is ever written
    setg(begin, begin, begin + bytes.size());
  }

 protected:
  pos_type seekoff(off_type offset, std::ios_base::seekdir from,
                   std::ios_base::openmode /*which*/) override {
    const char* base = from == std::ios_base::beg   ? eback()
                       : from == std::ios_base::cur ? gptr()
                                                    : egptr();
    const off_type target = (base - eback()) + offset;
    if (target < 0 || target > egptr() - eback()) return pos_type(off_type(-1));
    setg(eback(), eback() + target, egptr());
    return pos_type(target);
  }
  pos_type seekpos(pos_type position, std::ios_base::openmode which) override {
    return seekoff(off_type(position), std::ios_base::beg, which);
  }
};

std::string shape_text(const ov::PartialShape& shape) { return shape.to_string(); }

// One input or output of the model against what the contract says of it.
void check_port(const ov::Output<const ov::Node>& port, const char* kind, const std::string& name,
                const ov::Shape& shape) {
  if (port.get_names().count(name) == 0) {
    std::string there;
    for (const std::string& other : port.get_names()) there += (there.empty() ? "" : ", ") + other;
    throw Error(StatusCode::kModelInvalid, "the model's " + std::string(kind) + " is called \"" +
                                               there + "\", the contract says \"" + name + "\"");
  }
  if (port.get_element_type() != ov::element::f32) {
    throw Error(StatusCode::kModelInvalid,
                "the model's " + std::string(kind) + " \"" + name + "\" holds " +
                    port.get_element_type().get_type_name() + ", the contract says float32 (f32)");
  }
  if (port.get_partial_shape().is_dynamic() || port.get_shape() != shape) {
    throw Error(StatusCode::kModelInvalid, "the model's " + std::string(kind) + " \"" + name +
                                               "\" has the shape " +
                                               shape_text(port.get_partial_shape()) +
                                               ", the contract says " + shape_text(shape));
  }
}

void check_model(const ov::Model& model, const Contract& contract) {
  const auto inputs = model.inputs();
  const auto outputs = model.outputs();
  if (inputs.size() != 1 || outputs.size() != 1) {
    throw Error(StatusCode::kModelInvalid, "the model has " + std::to_string(inputs.size()) +
                                               " inputs and " + std::to_string(outputs.size()) +
                                               " outputs, the contract describes one of each");
  }
  const auto size = [](int value) { return static_cast<std::size_t>(value); };
  check_port(inputs[0], "input", contract.input_name,
             {1, 3, size(contract.preprocess.height_px), size(contract.preprocess.width_px)});
  check_port(
      outputs[0], "output", contract.output_name,
      {1, size(contract.channel_count()), size(contract.grid_height), size(contract.grid_width)});
}

std::shared_ptr<ov::Model> read_onnx(const std::string& model_bytes) {
  // The ONNX front end by name: read_model would take whatever format the bytes happen to be in.
  check_onnx_is_self_contained(model_bytes);
  MemoryBuffer buffer(model_bytes);
  std::istream stream(&buffer);
  ov::frontend::FrontEndManager manager;
  const ov::frontend::FrontEnd::Ptr front_end = manager.load_by_framework("onnx");
  const ov::frontend::InputModel::Ptr input = front_end->load(static_cast<std::istream*>(&stream));
  if (!input) throw Error(StatusCode::kModelInvalid, "the model is not an ONNX file");
  return front_end->convert(input);
}

TensorView view_of(ov::Tensor& tensor) {
  const ov::Shape shape = tensor.get_shape();
  return {tensor.data<float>(), static_cast<int>(shape[1]), static_cast<int>(shape[2]),
          static_cast<int>(shape[3])};
}

class OpenVinoEngine : public Engine {
 public:
  OpenVinoEngine(const std::string& model_bytes, const Contract& contract, int threads)
      : threads_(threads) {
    const std::shared_ptr<ov::Model> model = read_onnx(model_bytes);
    check_model(*model, contract);
    // f32 on every machine: by default CPUs with bf16 units would answer differently. No pinning:
    // several runtimes, or the camera's own threads, would be pinned onto the same cores.
    compiled_ = core_.compile_model(
        model, "CPU", ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY),
        ov::hint::inference_precision(ov::element::f32), ov::inference_num_threads(threads),
        ov::num_streams(1), ov::hint::enable_cpu_pinning(false));
    request_ = compiled_.create_infer_request();
    input_ = request_.get_input_tensor();
    output_ = request_.get_output_tensor();
  }

  ~OpenVinoEngine() override { settle(); }

  TensorView input() override {
    settle();  // a run that was given up may still read it
    return view_of(input_);
  }
  TensorView output() override { return view_of(output_); }

  void run(Stream /*stream*/) override {
    try {
      request_.infer();
    } catch (const std::exception& error) {
      fail(error);
    }
  }

  void run_before(const Deadline& deadline) override {
    if (!deadline.limited()) return run(nullptr);
    try {
      request_.start_async();
      if (request_.wait_for(deadline.left())) return;
      given_up_ = true;
      request_.cancel();
    } catch (const std::exception& error) {
      fail(error);
    }
    deadline.fail("in the network");
  }

  std::string description() const override {
    return "OpenVINO " + openvino_version() + " CPU f32, " + std::to_string(threads_) +
           (threads_ == 1 ? " thread" : " threads");
  }

 private:
  [[noreturn]] static void fail(const std::exception& error) {
    throw Error(StatusCode::kEngineFailure, "OpenVINO failed: " + vendor_line(error));
  }

  // Waits for the end of a cancelled run.
  void settle() noexcept {
    if (!given_up_) return;
    try {
      request_.wait();
    } catch (const std::exception&) {
      // ov::Cancelled, or a failure of a run whose result nobody asks for any more.
    }
    given_up_ = false;
  }

  int threads_;
  bool given_up_ = false;
  ov::Core core_;
  ov::CompiledModel compiled_;
  ov::InferRequest request_;
  ov::Tensor input_, output_;  // bound once, for the life of the request
};

}  // namespace

std::unique_ptr<Engine> open_openvino(const std::string& model_bytes, const Contract& contract,
                                      int threads) {
  try {
    return std::make_unique<OpenVinoEngine>(model_bytes, contract, threads);
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(StatusCode::kModelInvalid, "OpenVINO cannot open the model: " + vendor_line(error));
  }
}

std::string openvino_version() {
  // "2026.4.0-12345-abcdef": the release is what users know.
  const std::string build = ov::get_openvino_version().buildNumber;
  return build.substr(0, build.find('-'));
}

}  // namespace efiqa
