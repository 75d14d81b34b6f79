// The gate of a model that nobody has yet seen run: the golden file's inputs must give its logits.
#pragma once

#include <string>
#include <vector>

#include "contract.h"

namespace efiqa {

class Stages;

struct GoldenSet {
  int count = 0;              // pictures
  std::vector<float> inputs;  // (count, 3, H, W), as the engine takes them
  std::vector<float> logits;  // (count, C, h, w), as the original answers
};

// Parses a safetensors file (https://github.com/huggingface/safetensors, "Format") with exactly the
// tensors `inputs` and `logits` of the contract's shapes, F32, finite, without gaps. Throws
// Error(kContractInvalid) with what is wrong and what mends it. `origin` is for messages.
GoldenSet parse_golden(const std::string& bytes, const Contract& contract,
                       const std::string& origin);

// How alike `actual` is to `expected`, over all values together, in double precision.
struct Parity {
  bool finite = false;
  double cosine = 0;
  double relative_frobenius = 0;  // |actual - expected| / |expected|

  bool passed() const;  // within the limits of contract.h; false for NaN
};

Parity measure_parity(const std::vector<float>& expected, const std::vector<float>& actual);

// Runs every golden input. Throws Error(kModelInvalid) with the figures when the gate fails. Each
// channel has to pass by itself: one with large logits must not hide another's error. `model_path`
// is for messages.
void check_golden(Stages& stages, const GoldenSet& golden, const Contract& contract,
                  const std::string& model_path);

}  // namespace efiqa
