// The names by which contracts and Python call the core's enumerations, in one place.
#pragma once

#include <cstddef>
#include <string>

#include "contract.h"
#include "engine.h"
#include "frame.h"
#include "postprocess.h"
#include "preprocess.h"
#include "status.h"

namespace efiqa {

template <typename Value>
struct Named {
  const char* name;
  Value value;
};

constexpr Named<PixelFormat> kPixelFormatNames[] = {
    {"rgb", PixelFormat::kRgb8},   {"bgr", PixelFormat::kBgr8},  {"gray", PixelFormat::kGray8},
    {"rgba", PixelFormat::kRgba8}, {"nv12", PixelFormat::kNv12}, {"yuyv", PixelFormat::kYuyv}};
constexpr Named<YuvMatrix> kYuvMatrixNames[] = {{"bt601", YuvMatrix::kBt601},
                                                {"bt709", YuvMatrix::kBt709}};
constexpr Named<YuvRange> kYuvRangeNames[] = {{"limited", YuvRange::kLimited},
                                              {"full", YuvRange::kFull}};
constexpr Named<ResizeFilter> kResizeFilterNames[] = {{"box", ResizeFilter::kBox},
                                                      {"triangle", ResizeFilter::kTriangle}};
constexpr Named<Colormap> kColormapNames[] = {{"turbo", Colormap::kTurbo},
                                              {"inferno", Colormap::kInferno},
                                              {"viridis", Colormap::kViridis},
                                              {"red", Colormap::kRed}};
constexpr Named<Backend> kBackendNames[] = {
    {"auto", Backend::kAuto}, {"openvino", Backend::kOpenVino}, {"tensorrt", Backend::kTensorRt}};
constexpr Named<ModelFormat> kModelFormatNames[] = {{"onnx", ModelFormat::kOnnx},
                                                    {"tensorrt_plan", ModelFormat::kTensorRtPlan}};
constexpr Named<Precision> kPrecisionNames[] = {{"fp32", Precision::kFp32},
                                                {"bf16", Precision::kBf16},
                                                {"fp16", Precision::kFp16},
                                                {"int8", Precision::kInt8}};
constexpr Named<TensorRtFlavour> kTensorRtFlavourNames[] = {
    {"tensorrt", TensorRtFlavour::kTensorRt}, {"tensorrt_rtx", TensorRtFlavour::kTensorRtRtx}};

constexpr const char* kZoneNames[kZones] = {"center", "middle", "periphery"};
// In the order of Landmark.
constexpr const char* kLandmarkNames[kLandmarks] = {"macula", "optic_disc"};
constexpr const char* kLandmarkMarginNames[kLandmarks] = {"macula_margin", "optic_disc_margin"};

// "rgb, bgr, gray, ...", for messages.
template <typename Value, std::size_t kCount>
std::string list_names(const Named<Value> (&table)[kCount]) {
  std::string list;
  for (const Named<Value>& entry : table) {
    if (!list.empty()) list += ", ";
    list += entry.name;
  }
  return list;
}

// Throws Error(kInvalidArgument) that lists the names there are; `field` is for the message.
template <typename Value, std::size_t kCount>
Value value_of_name(const Named<Value> (&table)[kCount], const std::string& name,
                    const char* field) {
  for (const Named<Value>& entry : table) {
    if (name == entry.name) return entry.value;
  }
  throw Error(StatusCode::kInvalidArgument,
              std::string(field) + " is \"" + name + "\", expected one of: " + list_names(table));
}

}  // namespace efiqa
