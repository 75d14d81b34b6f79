#include "golden.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "json.h"
#include "stages.h"
#include "status.h"

namespace efiqa {
namespace {

constexpr std::size_t kLengthBytes = 8;  // of the little-endian number before the header
constexpr std::uint64_t kMaxHeaderBytes = 1 << 20;
constexpr int kMaxPictures = 1024;

// A safetensors file that is being read.
class Reader {
 public:
  Reader(const std::string& bytes, const std::string& origin) : bytes_(bytes), origin_(origin) {}

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(StatusCode::kContractInvalid,
                "golden file " + origin_ + ": " + what +
                    "; copy it again, or build the plan again with efiqa build");
  }

  // The header, parsed; data() is known from then on.
  JsonValue header() {
    std::uint64_t length = 0;
    if (bytes_.size() < kLengthBytes) {
      fail("it has " + std::to_string(bytes_.size()) +
           " bytes, expected at least 8 for the header's length");
    }
    for (std::size_t i = kLengthBytes; i > 0; --i) {
      length = length << 8 | static_cast<std::uint8_t>(bytes_[i - 1]);
    }
    if (length > kMaxHeaderBytes || length > bytes_.size() - kLengthBytes) {
      fail("the header's length is " + std::to_string(length) + ", the file has " +
           std::to_string(bytes_.size()) + " bytes");
    }
    data_begin_ = kLengthBytes + static_cast<std::size_t>(length);
    JsonValue value = parse_json(bytes_.substr(kLengthBytes, static_cast<std::size_t>(length)),
                                 "golden file " + origin_);
    if (value.kind != JsonValue::Kind::kObject) fail("the header is not an object");
    return value;
  }

  std::size_t data_bytes() const { return bytes_.size() - data_begin_; }

  const JsonValue& member(const JsonValue& object, const std::string& path,
                          const char* name) const {
    const JsonValue* found = object.find(name);
    if (found == nullptr) fail(path + name + " is missing");
    return *found;
  }

  std::size_t whole_number(const JsonValue& value, const std::string& path) const {
    constexpr double kMaxExact = 9007199254740992.0;  // 2^53
    if (value.kind != JsonValue::Kind::kNumber || !(value.number >= 0) ||
        value.number > kMaxExact || value.number != std::floor(value.number)) {
      fail(path + " is " + json_excerpt(value) + ", expected a whole number");
    }
    return static_cast<std::size_t>(value.number);
  }

  void copy_values(std::size_t offset, std::vector<float>& out, const char* name) const {
    std::memcpy(out.data(), bytes_.data() + data_begin_ + offset, out.size() * sizeof(float));
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (std::isfinite(out[i])) continue;
      fail(std::string(name) + " holds " + std::to_string(out[i]) + " at index " +
           std::to_string(i) + ", expected finite numbers");
    }
  }

 private:
  const std::string& bytes_;
  const std::string& origin_;
  std::size_t data_begin_ = 0;
};

struct Extent {
  std::size_t begin = 0, end = 0;  // bytes of the data
};

// One tensor (count, channels, height, width); `count` 0 takes the file's own.
Extent read_tensor(const Reader& reader, const JsonValue& header, const char* name,
                   std::initializer_list<int> picture_shape, int& count, std::vector<float>& out) {
  const std::string path = std::string(name) + ".";
  const JsonValue& tensor = reader.member(header, "", name);
  if (tensor.kind != JsonValue::Kind::kObject || tensor.members.size() != 3) {
    reader.fail(std::string(name) + " is " + json_excerpt(tensor) +
                ", expected an object of dtype, shape and data_offsets");
  }
  const JsonValue& dtype = reader.member(tensor, path, "dtype");
  if (dtype.kind != JsonValue::Kind::kString || dtype.text != "F32") {
    reader.fail(path + "dtype is " + json_excerpt(dtype) + ", expected \"F32\"");
  }

  const JsonValue& shape = reader.member(tensor, path, "shape");
  std::string actual, expected = count == 0 ? "N" : std::to_string(count);
  bool fits = shape.kind == JsonValue::Kind::kArray && shape.items.size() == 4;
  std::size_t values = 1;
  for (const int side : picture_shape) {
    expected += ", " + std::to_string(side);
    values *= static_cast<std::size_t>(side);
  }
  for (std::size_t i = 0; i < shape.items.size(); ++i) {
    const std::size_t side = reader.whole_number(shape.items[i], path + "shape");
    actual += (i == 0 ? "" : ", ") + std::to_string(side);
    if (!fits) continue;
    if (i > 0) {
      fits = side == static_cast<std::size_t>(picture_shape.begin()[i - 1]);
    } else if (count > 0) {
      fits = side == static_cast<std::size_t>(count);
    } else {
      fits = side >= 1 && side <= kMaxPictures;
      count = fits ? static_cast<int>(side) : 0;
    }
  }
  if (!fits) {
    reader.fail(path + "shape is [" + actual + "], expected [" + expected + "]" +
                (expected[0] == 'N' ? " with N from 1 to " + std::to_string(kMaxPictures) : ""));
  }
  values *= static_cast<std::size_t>(count);

  const JsonValue& offsets = reader.member(tensor, path, "data_offsets");
  if (offsets.kind != JsonValue::Kind::kArray || offsets.items.size() != 2) {
    reader.fail(path + "data_offsets is " + json_excerpt(offsets) + ", expected two numbers");
  }
  const Extent extent{reader.whole_number(offsets.items[0], path + "data_offsets"),
                      reader.whole_number(offsets.items[1], path + "data_offsets")};
  if (extent.end > reader.data_bytes() || extent.begin > extent.end ||
      extent.end - extent.begin != values * sizeof(float)) {
    reader.fail(path + "data_offsets is [" + std::to_string(extent.begin) + ", " +
                std::to_string(extent.end) + "], expected " +
                std::to_string(values * sizeof(float)) + " bytes within the file's " +
                std::to_string(reader.data_bytes()));
  }
  out.resize(values);
  reader.copy_values(extent.begin, out, name);
  return extent;
}

// The values of one channel, of all pictures.
std::vector<float> values_of_channel(const std::vector<float>& logits, const Contract& contract,
                                     int channel) {
  const std::size_t cells = static_cast<std::size_t>(contract.grid_width) * contract.grid_height;
  const std::size_t step = cells * static_cast<std::size_t>(contract.channel_count());
  std::vector<float> values;
  for (std::size_t i = cells * static_cast<std::size_t>(channel); i < logits.size(); i += step) {
    values.insert(values.end(), &logits[i], &logits[i] + cells);
  }
  return values;
}

}  // namespace

GoldenSet parse_golden(const std::string& bytes, const Contract& contract,
                       const std::string& origin) {
  Reader reader(bytes, origin);
  const JsonValue header = reader.header();
  for (const auto& entry : header.members) {
    if (entry.first == "inputs" || entry.first == "logits" || entry.first == "__metadata__") {
      continue;
    }
    reader.fail(json_printable(entry.first) + " is no tensor of a golden file");
  }
  GoldenSet golden;
  const Extent inputs = read_tensor(
      reader, header, "inputs", {3, contract.preprocess.height_px, contract.preprocess.width_px},
      golden.count, golden.inputs);
  const Extent logits =
      read_tensor(reader, header, "logits",
                  {contract.channel_count(), contract.grid_height, contract.grid_width},
                  golden.count, golden.logits);
  const Extent& first = inputs.begin <= logits.begin ? inputs : logits;
  const Extent& second = inputs.begin <= logits.begin ? logits : inputs;
  if (first.begin != 0 || second.begin != first.end || second.end != reader.data_bytes()) {
    reader.fail("the tensors lie at bytes " + std::to_string(first.begin) + " to " +
                std::to_string(first.end) + " and " + std::to_string(second.begin) + " to " +
                std::to_string(second.end) + " of " + std::to_string(reader.data_bytes()) +
                ", expected no gap and no overlap");
  }
  return golden;
}

bool Parity::passed() const {
  return finite && cosine >= kMinParityCosine && relative_frobenius <= kMaxParityRelativeFrobenius;
}

Parity measure_parity(const std::vector<float>& expected, const std::vector<float>& actual) {
  double product = 0, expected_squares = 0, actual_squares = 0, difference_squares = 0;
  Parity parity;
  parity.finite = true;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double e = expected[i], a = actual[i];
    parity.finite = parity.finite && std::isfinite(a);
    product += e * a;
    expected_squares += e * e;
    actual_squares += a * a;
    difference_squares += (a - e) * (a - e);
  }
  // Both are NaN or infinite without a norm to divide by, which does not pass.
  parity.cosine = product / (std::sqrt(expected_squares) * std::sqrt(actual_squares));
  parity.relative_frobenius = std::sqrt(difference_squares) / std::sqrt(expected_squares);
  return parity;
}

void check_golden(Stages& stages, const GoldenSet& golden, const Contract& contract,
                  const std::string& model_path) {
  std::vector<float> answers(golden.logits.size());
  const std::size_t input_values = golden.inputs.size() / golden.count;
  const std::size_t logit_values = golden.logits.size() / golden.count;
  for (std::size_t i = 0; i < static_cast<std::size_t>(golden.count); ++i) {
    stages.run_network(golden.inputs.data() + i * input_values, answers.data() + i * logit_values);
  }
  for (int c = 0; c < contract.channel_count(); ++c) {
    const Parity parity = measure_parity(values_of_channel(golden.logits, contract, c),
                                         values_of_channel(answers, contract, c));
    if (parity.passed()) continue;
    throw Error(
        StatusCode::kModelInvalid,
        "model " + model_path + " does not compute on this device what the original does: over " +
            std::to_string(golden.count) + " golden pictures the logits of " +
            contract.channel_name(c) + " are " + (parity.finite ? "finite" : "not finite") +
            ", cosine " + std::to_string(parity.cosine) + " (expected at least " +
            std::to_string(kMinParityCosine) + "), relative error " +
            std::to_string(parity.relative_frobenius) + " (expected at most " +
            std::to_string(kMaxParityRelativeFrobenius) +
            "); build the plan again with efiqa build for this device, or export the model with "
            "--precision fp32");
  }
}

}  // namespace efiqa
