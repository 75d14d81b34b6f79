#include <string>

#include "check.h"
#include "fixtures.h"
#include "onnx_scan.h"

using efiqa_test::error_of;

namespace {

// A field of wire type 2: a message or bytes, shorter than 128 bytes.
std::string field(int number, const std::string& content) {
  std::string tag;
  const int value = number << 3 | 2;
  if (value >= 0x80) {
    tag += static_cast<char>((value & 0x7F) | 0x80);
    tag += static_cast<char>(value >> 7);
  } else {
    tag += static_cast<char>(value);
  }
  return tag + static_cast<char>(content.size()) + content;
}

std::string scan(const std::string& bytes) {
  return error_of([&] { efiqa::check_onnx_is_self_contained(bytes); });
}

constexpr const char* kExternal =
    "model_invalid: the model keeps values in another file, which its contract's hash does not "
    "cover; export it as one file";
constexpr const char* kDamaged =
    "model_invalid: the model is not an ONNX file, or a damaged one; copy or export it again";

}  // namespace

TEST(onnx_scan_of_a_model_in_one_file_passes) {
  CHECK_EQ(scan(efiqa_test::read_golden("tiny.onnx")), std::string("no error"));
}

TEST(onnx_scan_finds_external_data_wherever_a_tensor_can_stand) {
  const std::string located = field(13, field(1, "location") + field(2, "w.bin"));
  const std::string flagged = std::string("\x70\x01", 2);  // data_location = EXTERNAL
  for (const std::string& tensor : {located, flagged, field(8, "name") + located}) {
    const std::string attribute = field(5, tensor);  // of a node
    const std::string sparse = field(1, tensor);
    const std::string graph_of_attribute = field(6, field(5, tensor));
    for (const std::string& graph :
         {field(5, tensor), field(15, sparse), field(15, field(2, tensor)),
          field(1, field(5, attribute)), field(1, field(5, field(10, tensor))),
          field(1, field(5, graph_of_attribute)), field(1, field(5, field(11, field(5, tensor)))),
          field(1, field(5, field(22, sparse))), field(1, field(5, field(23, sparse)))}) {
      CHECK_EQ(scan(field(7, graph)), std::string(kExternal));
    }
    CHECK_EQ(scan(field(25, field(7, field(5, attribute)))), std::string(kExternal));
    CHECK_EQ(scan(field(25, field(11, attribute))), std::string(kExternal));
  }
  CHECK_EQ(scan(field(7, field(5, std::string("\x70\x00", 2)))), std::string("no error"));
  CHECK_EQ(scan(field(14, "metadata of the model, not a tensor")), std::string("no error"));
}

TEST(onnx_scan_refuses_what_is_no_protobuf) {
  const std::string endless(11, '\xFF');
  for (const std::string& bytes : {std::string("no model at all"), std::string(10, '\0') + "\x0B",
                                   endless, std::string("\x3A\x7F", 2), std::string("\x09\x01", 2),
                                   std::string("\x0D\x01", 2), std::string("\x08", 1)}) {
    CHECK_EQ(scan(bytes), std::string(kDamaged));
  }
  const std::string model = efiqa_test::read_golden("tiny.onnx");
  CHECK_EQ(scan(model.substr(0, model.size() - 1)), std::string(kDamaged));
}

TEST(onnx_scan_stops_at_deep_nesting) {
  std::string graph;
  for (int level = 0; level < 200; ++level) {
    // Longer than field() can write: lengths of up to 14 bits.
    for (const int number : {6, 5, 1}) {
      std::string head(1, static_cast<char>(number << 3 | 2));
      head += static_cast<char>((graph.size() & 0x7F) | 0x80);
      head += static_cast<char>(graph.size() >> 7);
      graph = head + graph;
    }
  }
  std::string head("\x3A", 1);
  head += static_cast<char>((graph.size() & 0x7F) | 0x80);
  head += static_cast<char>(graph.size() >> 7);
  CHECK_EQ(scan(head + graph), std::string(kDamaged));
}
