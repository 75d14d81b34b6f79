# Finds TensorRT, or TensorRT-RTX: headers and the runtime library, no parser and no builder.
#
# Where: TensorRT_INCLUDE_DIR and TensorRT_LIBRARY; else below TENSORRT_ROOT (a variable, or one of the
# environment); else where JetPack and NVIDIA's packages put them.
# Sets TensorRT_FOUND, TensorRT_VERSION (of the headers), TensorRT_FLAVOUR (tensorrt or tensorrt_rtx, by the
# library's name), and the target TensorRT::runtime.
set(tensorrt_roots)
foreach(root IN ITEMS "${TENSORRT_ROOT}" "$ENV{TENSORRT_ROOT}")
  if(root)
    list(APPEND tensorrt_roots ${root})
  endif()
endforeach()

set(tensorrt_places HINTS ${tensorrt_roots} PATHS /usr /usr/local /usr/local/tensorrt)
find_path(TensorRT_INCLUDE_DIR NvInferRuntime.h ${tensorrt_places}
  PATH_SUFFIXES include include/aarch64-linux-gnu include/x86_64-linux-gnu)
find_library(TensorRT_LIBRARY NAMES nvinfer nvinfer_lean tensorrt_rtx ${tensorrt_places}
  PATH_SUFFIXES lib lib64 lib/aarch64-linux-gnu lib/x86_64-linux-gnu)
mark_as_advanced(TensorRT_INCLUDE_DIR TensorRT_LIBRARY)

get_filename_component(tensorrt_library_name "${TensorRT_LIBRARY}" NAME)
if(tensorrt_library_name MATCHES "rtx")
  set(TensorRT_FLAVOUR tensorrt_rtx)
else()
  set(TensorRT_FLAVOUR tensorrt)
endif()

# TensorRT 11 and TensorRT-RTX define the numbers through names of their own, in the same file.
set(TensorRT_VERSION)
if(TensorRT_INCLUDE_DIR AND EXISTS "${TensorRT_INCLUDE_DIR}/NvInferVersion.h")
  file(STRINGS "${TensorRT_INCLUDE_DIR}/NvInferVersion.h" tensorrt_lines REGEX "^#define [A-Z_]+ +[A-Z0-9_]+")
  foreach(part IN ITEMS MAJOR MINOR PATCH)
    set(tensorrt_name NV_TENSORRT_${part})
    foreach(step RANGE 2)
      foreach(line IN LISTS tensorrt_lines)
        if(line MATCHES "^#define ${tensorrt_name} +([A-Z0-9_]+)")
          set(tensorrt_name ${CMAKE_MATCH_1})
          break()
        endif()
      endforeach()
    endforeach()
    list(APPEND TensorRT_VERSION ${tensorrt_name})
  endforeach()
  list(JOIN TensorRT_VERSION "." TensorRT_VERSION)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(TensorRT
  REQUIRED_VARS TensorRT_LIBRARY TensorRT_INCLUDE_DIR
  VERSION_VAR TensorRT_VERSION
  REASON_FAILURE_MESSAGE
    "pass -DTENSORRT_ROOT=FOLDER with include/NvInferRuntime.h and lib/libnvinfer.so or lib/libtensorrt_rtx.so, or -DTensorRT_INCLUDE_DIR and -DTensorRT_LIBRARY")
if(TensorRT_FOUND AND NOT TARGET TensorRT::runtime)
  add_library(TensorRT::runtime UNKNOWN IMPORTED)
  set_target_properties(TensorRT::runtime PROPERTIES
    IMPORTED_LOCATION "${TensorRT_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${TensorRT_INCLUDE_DIR}")
endif()
