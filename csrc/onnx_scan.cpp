#include "onnx_scan.h"

#include <cstdint>

#include "status.h"

namespace efiqa {
namespace {

constexpr int kMaxDepth = 64;  // protobuf's own parsers stop at 100

// The messages of onnx.proto from which a tensor can be reached.
enum class Message { kModel, kFunction, kGraph, kNode, kAttribute, kSparseTensor, kTensor };

struct Child {
  Message parent;
  std::uint64_t field;
  Message child;
};

// Source of the field numbers: onnx.proto, release 1.16.
constexpr Child kChildren[] = {
    {Message::kModel, 7, Message::kGraph},
    {Message::kModel, 25, Message::kFunction},
    {Message::kFunction, 7, Message::kNode},
    {Message::kFunction, 11, Message::kAttribute},
    {Message::kGraph, 1, Message::kNode},
    {Message::kGraph, 5, Message::kTensor},
    {Message::kGraph, 15, Message::kSparseTensor},
    {Message::kNode, 5, Message::kAttribute},
    {Message::kAttribute, 5, Message::kTensor},
    {Message::kAttribute, 6, Message::kGraph},
    {Message::kAttribute, 10, Message::kTensor},
    {Message::kAttribute, 11, Message::kGraph},
    {Message::kAttribute, 22, Message::kSparseTensor},
    {Message::kAttribute, 23, Message::kSparseTensor},
    {Message::kSparseTensor, 1, Message::kTensor},
    {Message::kSparseTensor, 2, Message::kTensor},
};
constexpr std::uint64_t kTensorExternalData = 13, kTensorDataLocation = 14;

[[noreturn]] void fail_format() {
  throw Error(StatusCode::kModelInvalid,
              "the model is not an ONNX file, or a damaged one; copy or export it again");
}

// The bytes of one message; next_* throw at its end.
class Reader {
 public:
  Reader(const std::uint8_t* begin, const std::uint8_t* end) : at_(begin), end_(end) {}

  bool done() const { return at_ == end_; }

  std::uint64_t next_varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (done()) fail_format();
      const std::uint8_t byte = *at_++;
      value |= std::uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    fail_format();
  }

  Reader next_bytes(std::uint64_t size) {
    if (size > static_cast<std::uint64_t>(end_ - at_)) fail_format();
    const std::uint8_t* const begin = at_;
    at_ += size;
    return Reader(begin, at_);
  }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

void scan(Message message, Reader reader, int depth) {
  if (depth > kMaxDepth) fail_format();
  while (!reader.done()) {
    const std::uint64_t tag = reader.next_varint();
    const std::uint64_t field = tag >> 3;
    if (field == 0) fail_format();
    Reader content = reader.next_bytes(0);
    std::uint64_t number = 0;
    switch (tag & 7) {  // the wire types of protobuf; groups (3, 4) do not occur in ONNX
      case 0:
        number = reader.next_varint();
        break;
      case 1:
        reader.next_bytes(8);
        break;
      case 2:
        content = reader.next_bytes(reader.next_varint());
        break;
      case 5:
        reader.next_bytes(4);
        break;
      default:
        fail_format();
    }
    if (message == Message::kTensor &&
        (field == kTensorExternalData || (field == kTensorDataLocation && number != 0))) {
      throw Error(StatusCode::kModelInvalid,
                  "the model keeps values in another file, which its contract's hash does not "
                  "cover; export it as one file");
    }
    if ((tag & 7) != 2) continue;
    for (const Child& child : kChildren) {
      if (child.parent == message && child.field == field) scan(child.child, content, depth + 1);
    }
  }
}

}  // namespace

void check_onnx_is_self_contained(const std::string& model_bytes) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(model_bytes.data());
  scan(Message::kModel, Reader(bytes, bytes + model_bytes.size()), 0);
}

}  // namespace efiqa
