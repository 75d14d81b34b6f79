// For a build without an embedded model: EFIQA_EMBEDDED_MODEL is empty.
#include "embedded_model.h"

namespace efiqa {

ModelBytes embedded_model() { return {}; }

}  // namespace efiqa
