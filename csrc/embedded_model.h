// The model that is linked into the library.
#pragma once

#include "runtime.h"

namespace efiqa {

// Empty in a build without one.
ModelBytes embedded_model();

}  // namespace efiqa
