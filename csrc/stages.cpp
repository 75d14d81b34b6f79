#include "stages.h"

#include <utility>

#include "status.h"

namespace efiqa {

std::unique_ptr<Stages> make_stages(const Contract& contract, std::unique_ptr<Engine> engine,
                                    std::shared_ptr<ThreadPool> pool) {
  const Memory input = engine->input().memory, output = engine->output().memory;
  if (input != output) {
    throw Error(StatusCode::kInternal, "the engine \"" + engine->description() +
                                           "\" has its input and its output in different memories");
  }
  if (input == Memory::kHost) {
    return make_host_stages(contract, std::move(engine), std::move(pool));
  }
#ifdef EFIQA_WITH_CUDA
  return make_device_stages(contract, std::move(engine), std::move(pool));
#else
  throw Error(StatusCode::kBackendUnavailable,
              "the engine \"" + engine->description() +
                  "\" runs on a GPU, and this build of efiqa has no CUDA stages; build it with "
                  "EFIQA_WITH_CUDA=ON");
#endif
}

}  // namespace efiqa
